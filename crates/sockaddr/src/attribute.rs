//! `attr` and `join`: what can be said of an address.

use crate::{
    Address,
    machine::{ip, mask},
};

/// One attribute by its name, in any case: `address`, `network`, `first_usable`. Errors when an address of this kind has none
/// of that name.
pub(crate) fn attribute(name: &str, of: &Address) -> Result<String, String> {
    let name = name.to_lowercase();
    let is_v4 = of.ip.is_ipv4();
    let digits = usize::from(of.width());
    let shown = |number: u128| ip(number, is_v4).to_string();
    Ok(match name.as_str() {
        "name" => of.name.clone(),
        "flags" => of.flags.clone(),
        "address" | "host" => of.ip.to_string(),
        "type" => if is_v4 { "IPv4" } else { "IPv6" }.into(),
        "string" => of.to_string(),
        "port" => "0".into(),
        "mask_bits" => of.bits.to_string(),
        "netmask" => shown(of.mask()),
        "network" => shown(of.network()),
        "size" => size(of.width() - of.bits),
        "first_usable" => shown(if is_v4 && of.bits < 31 { of.network() + 1 } else { of.network() }),
        "last_usable" => shown(if is_v4 && of.bits < 31 { of.last() - 1 } else { of.last() }),
        "octets" => {
            let bytes = &of.number().to_be_bytes()[16 - digits / 8..];
            bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
        }
        "hex" => format!("{:0width$x}", of.number(), width = digits / 4),
        "binary" => format!("{:0digits$b}", of.number()),
        "broadcast" if is_v4 => shown(of.last()),
        "uint32" if is_v4 => of.number().to_string(),
        "uint128" if !is_v4 => of.number().to_string(),
        _ => return Err(format!("unsupported attribute name {name:?}")),
    })
}

/// Two to the power of so many bits.
fn size(bits: u8) -> String {
    match 1u128.checked_shl(bits.into()) {
        Some(size) => size.to_string(),
        None => "340282366920938463463374607431768211456".into(),
    }
}

/// An attribute of all, with a text between.
pub(crate) fn join(name: &str, between: &str, all: &[Address]) -> Result<String, String> {
    let shown = all.iter().map(|address| attribute(name, address)).collect::<Result<Vec<_>, _>>()?;
    Ok(shown.join(between))
}

/// The address with only its first bits left, and no longer a network than it has.
pub(crate) fn masked(of: &Address, bits: u8) -> Address {
    let cut = of.with_number(of.number() & mask(bits, of.width()));
    Address { bits: of.bits.min(bits), ..cut }
}
