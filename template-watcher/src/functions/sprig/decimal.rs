//! Decimal numbers, in which Sprig reckons with floats: 0.1 and 0.2 are 0.3.

/// How many places a quotient has.
const QUOTIENT_PLACES: i32 = 16;

/// A whole number of powers of ten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal number that reads back as this float; none for what is no number or too large.
    pub(super) fn of(float: f64) -> Option<Self> {
        if !float.is_finite() {
            return None;
        }
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e')?;
        let places = digits.split_once('.').map_or(0, |(_, places)| places.len());
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(places).ok()?;
        Some(Decimal { digits: digits.replace('.', "").parse().ok()?, exponent })
    }

    /// The nearest float.
    pub(super) fn float(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// The sum; none where it has too many digits.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let digits = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Decimal { digits, exponent })
    }

    /// The difference; none where it has too many digits.
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(Decimal { digits: -other.digits, ..other })
    }

    /// The product; none where it has too many digits.
    pub(super) fn times(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Decimal { digits, exponent: self.exponent.checked_add(other.exponent)? })
    }

    /// The quotient, half a last place rounded away from nought; none for a division by nought, or too many digits.
    pub(super) fn by(self, other: Self) -> Option<Self> {
        let shift = self.exponent.checked_sub(other.exponent)?.checked_add(QUOTIENT_PLACES)?;
        let Some(power) = 10i128.checked_pow(shift.unsigned_abs()) else {
            // So small that no place of it is left.
            return (shift < 0).then_some(Decimal { digits: 0, exponent: 0 });
        };
        let (up, down) = if shift < 0 { (1, power) } else { (power, 1) };
        let (dividend, divisor) = (self.digits.checked_mul(up)?, other.digits.checked_mul(down)?);
        let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
        let is_half = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
        let away = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
        let digits = if is_half && rest != 0 { whole.checked_add(away)? } else { whole };
        Some(Decimal { digits, exponent: -QUOTIENT_PLACES })
    }

    /// Its digits at a smaller exponent.
    fn at(self, exponent: i32) -> Option<i128> {
        let shift = self.exponent.checked_sub(exponent)?.unsigned_abs();
        self.digits.checked_mul(10i128.checked_pow(shift)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_reckoned_with_as_they_are_written() {
        let [a, b, c] = [0.1, 0.2, 7.0].map(|float| Decimal::of(float).unwrap());
        assert_eq!(a.plus(b).unwrap().float(), 0.3);
        assert_eq!(a.minus(b).unwrap().float(), -0.1);
        assert_eq!(a.times(c).unwrap().float(), 0.7);
        assert_eq!(Decimal::of(3.0).unwrap().by(c).unwrap().float(), 0.428_571_428_571_428_6);
        assert_eq!(
            Decimal::of(-2.0).unwrap().by(Decimal::of(3.0).unwrap()).unwrap().float(),
            -0.666_666_666_666_666_7
        );
        assert!(a.by(Decimal::of(0.0).unwrap()).is_none());
        assert!(Decimal::of(1e300).unwrap().plus(a).is_none());
        assert!(Decimal::of(f64::INFINITY).is_none());
    }
}
