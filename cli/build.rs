//! Link options of the binary.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // The addresses that the loader has to correct take 1.2 MB as a table and less than 0.1 MB packed. Every program has them in
    // memory from its start. Needs glibc 2.36, and an older one says so.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
