//! The size of the cookie-indexed tables. How slots are found in them is for the kernel side.

/// Slots in a bucket, as `WAYS` of the kernel side.
const WAYS: u32 = 8;

/// Buckets for at least so many slots: a power of two, as the kernel side masks the cookie with it.
pub(super) fn buckets_for(slots: u32) -> u32 {
    slots.max(WAYS).next_power_of_two() / WAYS
}
