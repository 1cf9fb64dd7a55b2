//! Templates for the addresses of a machine: `{{ GetInterfaceIP "eth0" }}`,
//! `{{ GetAllInterfaces | include "network" "10.0.0.0/8" | attr "address" }}`.
//!
//! The language is Go's `text/template`, the functions are those of go-sockaddr, whose documentation and black-box answers
//! are the source. [`Machine::here`] reads the machine once; everything else is pure, so that tests bring their own.
//!
//! | file | content |
//! | --- | --- |
//! | `machine.rs` | interfaces and their addresses |
//! | `functions.rs` | the function table |
//! | `select.rs`, `order.rs`, `attribute.rs`, `math.rs` | what the functions do with a list of addresses |
//! | `rfc.rs` | which blocks of addresses which RFC speaks of |

mod attribute;
mod functions;
mod machine;
mod math;
mod order;
mod rfc;
mod select;

pub use functions::{TemplateError, expand};
pub use machine::{Address, Machine};
