//! The options of a client's EDNS record, RFC 6891 §6.1.2. One is used, the client's subnet; of others that Consul knows
//! the shape is checked, as it does.

/// Options whose data has a shape of their own; the numbers are IANA's.
mod code {
    pub(super) const LONG_LIVED_QUERY: u16 = 1;
    pub(super) const UPDATE_LEASE: u16 = 2;
    pub(super) const CLIENT_SUBNET: u16 = 8;
    pub(super) const TCP_KEEPALIVE: u16 = 11;
    pub(super) const EXTENDED_ERROR: u16 = 15;
}

/// The client-subnet option's data (RFC 7871) among the options; the outer `None` means that they are malformed.
pub(super) fn subnet(mut options: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut subnet = None;
    while !options.is_empty() {
        let (head, rest) = options.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (data, rest) = rest.split_at_checked(length)?;
        let well_formed = match u16::from_be_bytes([head[0], head[1]]) {
            code::CLIENT_SUBNET => {
                subnet = Some(trimmed_subnet(data)?);
                true
            }
            code::LONG_LIVED_QUERY => length >= 18,
            code::UPDATE_LEASE => matches!(length, 4 | 8),
            code::TCP_KEEPALIVE => matches!(length, 0 | 2),
            code::EXTENDED_ERROR => length >= 2,
            _ => true,
        };
        if !well_formed {
            return None;
        }
        options = rest;
    }
    Some(subnet)
}

/// The option's data with exactly as many address bits as its prefix says (RFC 7871 §6); `None` when it cannot be.
fn trimmed_subnet(data: &[u8]) -> Option<Vec<u8>> {
    let [0, family, bits, scope, ..] = *data else { return None };
    if !matches!((family, bits.max(scope)), (0, 0) | (1, 0..=32) | (2, 0..=128)) {
        return None;
    }
    let bits = usize::from(bits);
    let mut data = data.to_vec();
    // The scope is the answer's to say: for everybody, unless it says otherwise.
    data[3] = 0;
    data.resize(4 + bits.div_ceil(8), 0);
    if let Some(last) = data.last_mut().filter(|_| bits % 8 != 0) {
        *last &= 0xff << (8 - bits % 8);
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [&code.to_be_bytes(), &length.to_be_bytes(), data].concat()
    }

    #[test]
    fn the_subnet_has_as_many_bits_as_it_says() {
        let table: [(&[u8], Option<&[u8]>); 7] = [
            (&[0, 1, 24, 0, 192, 0, 2], Some(&[0, 1, 24, 0, 192, 0, 2])),
            (&[0, 1, 24, 0, 192, 0], Some(&[0, 1, 24, 0, 192, 0, 0])),
            (&[0, 1, 17, 0, 192, 255, 255], Some(&[0, 1, 17, 0, 192, 255, 128])),
            (&[0, 1, 33, 0, 192, 0, 2, 1], None),
            (&[0, 1, 24, 33, 192, 0, 2], None),
            (&[0, 3, 0, 0], None),
            (&[0, 1], None),
        ];
        for (data, wanted) in table {
            assert_eq!(subnet(&option(8, data)), wanted.map(|data| Some(data.to_vec())), "{data:?}");
        }
    }

    #[test]
    fn options_with_a_known_shape_have_it() {
        let table =
            [(1, 18, true), (1, 1, false), (2, 4, true), (2, 2, false), (11, 0, true), (11, 1, false)];
        for (code, length, good) in table.into_iter().chain([(15, 2, true), (15, 0, false), (65001, 3, true)])
        {
            assert_eq!(subnet(&option(code, &vec![0; length])).is_some(), good, "{code} {length}");
        }
        assert_eq!(subnet(&[0, 8, 0]), None, "a head cut short");
        assert_eq!(subnet(&[0, 9, 0, 2, 1]), None, "data cut short");
    }
}
