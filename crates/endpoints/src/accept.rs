//! Which of several types an `Accept` header prefers (RFC 9110, 12.5.1). Where a path has one type only,
//! `request` says whether it will do.

use std::cmp::Ordering;

/// A type that can be answered: `type/subtype`, and its version where ranges may name one. In lower case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<T> {
    pub(crate) essence: &'static str,
    pub(crate) version: &'static str,
    pub(crate) answer: T,
}

/// How much a type is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wanted {
    quality: f32,
    named: Named,
}

/// How closely a range names a type; a closer one decides over a wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Any,
    Half,
    Whole,
    WithVersion,
}

/// The best of the offers by an `Accept` header in lower case, if one is acceptable. Of those that are wanted
/// alike, the one named more closely; then the first. An empty header wants everything.
pub(crate) fn best<T: Copy>(accept: &str, offers: &[Offer<T>]) -> Option<T> {
    let accept = if accept.trim().is_empty() { "*/*" } else { accept };
    let wanted = offers.iter().filter_map(|offer| Some((wanted(accept, offer)?, offer.answer)));
    // Of equal ones `max_by` takes the last.
    let best = wanted.rev().max_by(|(one, _), (other, _)| one.order(other));
    best.map(|(_, answer)| answer)
}

impl Wanted {
    fn order(&self, other: &Self) -> Ordering {
        // Whether a version was named says which version is wanted, not how much.
        let closely = |wanted: &Self| wanted.named.min(Named::Whole);
        self.quality.total_cmp(&other.quality).then(closely(self).cmp(&closely(other)))
    }
}

/// What the closest range that holds the offer says of it; `None` when none does, or when it is refused.
fn wanted<T>(accept: &str, offer: &Offer<T>) -> Option<Wanted> {
    let ranges = accept.split(',').filter_map(|range| range_wants(range, offer));
    let closest = ranges
        .max_by(|one, other| one.named.cmp(&other.named).then(one.quality.total_cmp(&other.quality)))?;
    (closest.quality > 0.0).then_some(closest)
}

fn range_wants<T>(range: &str, offer: &Offer<T>) -> Option<Wanted> {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next()?;
    let mut named = if essence == "*/*" {
        Named::Any
    } else if essence == offer.essence {
        Named::Whole
    } else if essence.strip_suffix('*')? == offer.essence.split_inclusive('/').next()? {
        Named::Half
    } else {
        return None;
    };
    let mut quality = 1.0;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim() {
            // What cannot be read was meant to say something, so it is no refusal.
            "q" => quality = value.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0),
            "version" if value == offer.version => named = Named::WithVersion,
            "version" => return None,
            _ => {}
        }
    }
    Some(Wanted { quality, named })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<&'static str> {
        let plain = Offer { essence: "text/plain", version: "0.0.4", answer: "plain" };
        let open = Offer { essence: "application/openmetrics-text", version: "1.0.0", answer: "open" };
        best(accept, &[plain, open])
    }

    #[test]
    fn the_first_is_given_where_nothing_is_preferred() {
        for accept in
            ["", " ", "*/*", "*/*;q=0.1", "text/*, application/*", "text/plain", "text/html, */*;q=0.8"]
        {
            assert_eq!(chosen(accept), Some("plain"), "{accept}");
        }
    }

    #[test]
    fn one_that_is_named_goes_before_one_that_is_only_accepted() {
        for accept in ["application/openmetrics-text", "application/openmetrics-text, */*", "application/*"] {
            assert_eq!(chosen(accept), Some("open"), "{accept}");
        }
        assert_eq!(chosen("text/plain, application/*"), Some("plain"));
    }

    #[test]
    fn the_higher_quality_wins_whatever_the_order() {
        let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                       version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(chosen(scraper), Some("open"));
        let newer = "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8; q=0.6, text/plain; \
                     version=1.0.0; q=0.3, */*; q=0.1";
        assert_eq!(chosen(newer), Some("open"));
        assert_eq!(chosen("application/openmetrics-text;q=0.3, text/plain;q=0.4"), Some("plain"));
        assert_eq!(chosen("text/plain;version=0.0.4, application/openmetrics-text;q=0.9"), Some("plain"));
    }

    #[test]
    fn the_closest_range_decides_also_when_it_refuses() {
        assert_eq!(chosen("text/plain;q=0, */*"), Some("open"));
        assert_eq!(chosen("*/*, application/openmetrics-text;q=0"), Some("plain"));
        assert_eq!(chosen("*/*;q=0"), None);
        assert_eq!(chosen("text/plain;q=0, application/openmetrics-text;q=0.0"), None);
    }

    #[test]
    fn another_type_or_version_is_not_answered() {
        for accept in ["text/html", "text/plain;version=1.0.0", "application/openmetrics-text;version=2.0.0"]
        {
            assert_eq!(chosen(accept), None, "{accept}");
        }
    }
}
