//! The families that tell what the audits found.

use super::{Family, Sample};
use crate::audit_view::AuditView;

/// All of them; there are none before the first audit.
pub(super) fn families(audit: &AuditView) -> [Family<'_>; 8] {
    let AuditView { at: _, audits, cpu_ns, namespaces, unread, sockets, missing, found, stale, drift: _ } =
        audit;
    let whole = |value: &u64| [Sample::whole(*value)];
    let drift = audit.all_drift();
    [
        Family::counter(
            "sockeye_audits",
            "Comparisons of what is followed with the kernel's own sockets and counters.",
            whole(audits),
        ),
        Family::counter(
            "sockeye_audit_cpu_seconds",
            "Processor time that reading for these comparisons took.",
            [Sample::nanoseconds(*cpu_ns)],
        ),
        Family::gauge(
            "sockeye_audit_namespaces",
            "Network namespaces of the last audit: compared, or not readable.",
            [
                Sample::whole(*namespaces).with("state", "compared"),
                Sample::whole(*unread).with("state", "unread"),
            ],
        ),
        Family::gauge("sockeye_audit_sockets", "Sockets that the last audit saw.", whole(sockets)),
        Family::counter(
            "sockeye_audit_missing_sockets",
            "TCP sockets that audits found and that were not followed.",
            whole(missing),
        ),
        Family::counter(
            "sockeye_audit_found_sockets",
            "Of these, those that are followed since then with all that they carry.",
            whole(found),
        ),
        Family::counter(
            "sockeye_audit_stale_sockets",
            "Sockets that were followed and gone without a word.",
            whole(stale),
        ),
        Family::gauge(
            "sockeye_audit_drift",
            "How far sums since the first audit differ from the kernel's where they must not, by kind.",
            drift.map(|(kind, amount)| Sample::whole(amount).with("kind", kind)),
        ),
    ]
}
