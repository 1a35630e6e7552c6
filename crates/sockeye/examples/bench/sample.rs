//! Repeated readings of one thing: their middle and their range.

/// Readings, at least one.
#[derive(Debug, Clone)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// # Panics
    /// Without a reading: whoever measures makes one first.
    pub fn new(mut readings: Vec<f64>) -> Self {
        assert!(!readings.is_empty(), "there is a reading");
        readings.sort_by(f64::total_cmp);
        Self(readings)
    }

    /// The middle one; of an even number the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let (low, high) = (self.0[(self.0.len() - 1) / 2], self.0[self.0.len() / 2]);
        f64::midpoint(low, high)
    }

    /// The end of the lowest tenth.
    pub fn low_tenth(&self) -> f64 {
        self.0[(self.0.len() - 1) / 10]
    }

    /// Where the highest tenth begins.
    pub fn high_tenth(&self) -> f64 {
        self.0[(self.0.len() * 9 / 10).min(self.0.len() - 1)]
    }

    pub fn min(&self) -> f64 {
        self.0[0]
    }

    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// Where the half in the middle begins and ends: the range without the outliers.
    pub fn quartiles(&self) -> (f64, f64) {
        let last = self.0.len() - 1;
        (self.0[last / 4], self.0[last - last / 4])
    }
}
