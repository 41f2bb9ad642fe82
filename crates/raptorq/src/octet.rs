//! Octets: the field GF(2^8) of RFC 6330 section 5.7.
//!
//! The field is GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1, with alpha = 2 as the primitive element.
//! An octet is a plain `u8`; addition is `^`.

/// The field polynomial, x^8 + x^4 + x^3 + x^2 + 1.
pub const POLYNOMIAL: u16 = 0x11D;

/// `OCT_EXP` of section 5.7.3: `EXP[i]` is alpha to the power `i`, for `i` in `0..510`.
pub const EXP: [u8; 510] = exp_table();

/// `OCT_LOG` of section 5.7.4: `LOG[x]` is the discrete logarithm of `x`; `LOG[0]` is unused.
pub const LOG: [u8; 256] = log_table();

const fn exp_table() -> [u8; 510] {
    let mut table = [0; 510];
    let mut value = 1u16;
    let mut i = 0;
    while i < 510 {
        table[i] = value as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= POLYNOMIAL;
        }
        i += 1;
    }
    table
}

const fn log_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 255 {
        table[EXP[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// The product of two octets.
#[must_use]
pub const fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[LOG[a as usize] as usize + LOG[b as usize] as usize]
}

/// The multiplicative inverse, or `None` for zero.
#[must_use]
pub const fn inverse(a: u8) -> Option<u8> {
    if a == 0 { None } else { Some(EXP[255 - LOG[a as usize] as usize]) }
}

/// Alpha to the power `i`.
#[must_use]
pub const fn alpha(i: usize) -> u8 {
    EXP[i % 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(csv: &str) -> Vec<(usize, u8)> {
        csv.lines()
            .skip(1)
            .map(|line| {
                let (index, value) = line.split_once(',').unwrap();
                (index.parse().unwrap(), value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn exp_and_log_are_the_tables_of_the_rfc() {
        let exp = column(include_str!("../data/rfc6330/octet_exp.csv"));
        assert_eq!(exp.len(), EXP.len());
        assert!(exp.iter().all(|&(i, value)| EXP[i] == value));
        let log = column(include_str!("../data/rfc6330/octet_log.csv"));
        assert_eq!(log.len(), 255);
        assert!(log.iter().all(|&(octet, value)| LOG[octet] == value));
    }

    #[test]
    fn every_octet_but_zero_times_its_inverse_is_one() {
        assert_eq!(inverse(0), None);
        assert!((1..=255).all(|a| mul(a, inverse(a).unwrap()) == 1));
    }
}
