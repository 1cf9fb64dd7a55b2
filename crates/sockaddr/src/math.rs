//! `math`: steps from an address or within its network, and shorter masks.

use crate::{Address, attribute::masked};

/// Does `math "address" "+5"`, `math "network" "-1"` or `math "mask" "24"` with each address.
pub(crate) fn math(operation: &str, value: &str, all: Vec<Address>) -> Result<Vec<Address>, String> {
    all.into_iter()
        .map(|address| {
            one(&operation.to_lowercase(), value, &address).map_err(|why| {
                let Address { index, mtu, name, flags, .. } = &address;
                let shown = format!("{address} {{{index} {mtu} {name}  {flags}}}");
                format!("unable to perform an IPMath operation on {shown}: {why}")
            })
        })
        .collect()
}

fn one(operation: &str, value: &str, of: &Address) -> Result<Address, String> {
    match operation {
        "address" => Ok(of.with_number(of.number().wrapping_add_signed(step(operation, value)?))),
        "network" => {
            let step = step(operation, value)?;
            // From the start or back from the end, and round again when the network is too small.
            let hosts = of.last() ^ of.network();
            let steps =
                if step < 0 { hosts.wrapping_add(1).wrapping_add_signed(step) } else { step.unsigned_abs() };
            Ok(of.with_number(of.network() | (steps & hosts)))
        }
        "mask" => {
            let syntax = |why: &str| {
                format!(
                    "unable to convert {value:?} to int for operation \"mask\": strconv.ParseUint: parsing {value:?}: {why}"
                )
            };
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let bits: u8 = match value.parse() {
                Ok(bits) if is_number => bits,
                _ if is_number => return Err(syntax("value out of range")),
                _ => return Err(syntax("invalid syntax")),
            };
            if bits > of.width() {
                let kind = if of.ip.is_ipv4() { "ipv4" } else { "ipv6" };
                let most = of.width();
                return Err(format!(
                    "parameter for operation \"mask\" on {kind} addresses must be between 0 and {most}"
                ));
            }
            Ok(masked(of, bits))
        }
        _ => Err(format!("unsupported math operation: {operation:?}")),
    }
}

fn step(operation: &str, value: &str) -> Result<i128, String> {
    if !value.starts_with(['+', '-']) {
        return Err(format!("sign (+/-) is required for operation {operation:?}"));
    }
    let digits = &value[1..];
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = match value.parse::<i32>() {
        Ok(step) => return Ok(step.into()),
        Err(_) if is_number => "value out of range",
        Err(_) => "invalid syntax",
    };
    Err(format!(
        "unable to convert {value:?} to int for operation {operation:?}: strconv.ParseInt: parsing {value:?}: {why}"
    ))
}
