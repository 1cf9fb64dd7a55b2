//! `sort`: by several criteria, of which the first that tells two addresses apart decides.

use std::cmp::Ordering;

use crate::{Address, rfc};

/// Sorts by criteria with commas between: `default,-size`; `-` turns one round.
///
/// Addresses of different kinds have no order by most criteria. They are inserted one by one from the left, as Go does
/// with few of them, so that they stay where they were.
pub(crate) fn sort(
    criteria: &str,
    mut all: Vec<Address>,
    default: Option<&str>,
) -> Result<Vec<Address>, String> {
    let criteria = criteria.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    let compare = |a: &Address, b: &Address| {
        let tells = |(criterion, reversed): &(Criterion, bool)| {
            let order = criterion.compare(a, b, default);
            if *reversed { order.reverse() } else { order }
        };
        criteria.iter().map(tells).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    for next in 1..all.len() {
        let mut at = next;
        while at > 0 && compare(&all[at], &all[at - 1]).is_lt() {
            all.swap(at, at - 1);
            at -= 1;
        }
    }
    Ok(all)
}

#[derive(Clone, Copy)]
enum Criterion {
    Address,
    Default,
    Name,
    Port,
    Private,
    Size,
    Type,
}

fn read(written: &str) -> Result<(Criterion, bool), String> {
    let text = written.trim().to_lowercase();
    let (name, reversed) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text.strip_prefix('+').unwrap_or(&text), false),
    };
    let criterion = match name {
        "address" => Criterion::Address,
        "default" => Criterion::Default,
        "name" => Criterion::Name,
        "port" => Criterion::Port,
        "private" => Criterion::Private,
        "size" => Criterion::Size,
        "type" => Criterion::Type,
        _ => return Err(format!("unknown sort type: {written:?}")),
    };
    Ok((criterion, reversed))
}

impl Criterion {
    fn compare(self, a: &Address, b: &Address, default: Option<&str>) -> Ordering {
        let same_kind = a.ip.is_ipv4() == b.ip.is_ipv4();
        match self {
            Self::Address if same_kind => a.number().cmp(&b.number()),
            Self::Size if same_kind => a.bits.cmp(&b.bits),
            Self::Address | Self::Size | Self::Port => Ordering::Equal,
            Self::Default => {
                let is_default = |address: &Address| Some(address.name.as_str()) == default;
                is_default(b).cmp(&is_default(a))
            }
            Self::Name => a.name.cmp(&b.name),
            Self::Type => a.ip.is_ipv6().cmp(&b.ip.is_ipv6()),
            Self::Private => {
                let (a, b) = (rfc::is_in(a.ip, 6890), rfc::is_in(b.ip, 6890));
                if same_kind { b.cmp(&a) } else { a.cmp(&false).reverse() }
            }
        }
    }
}
