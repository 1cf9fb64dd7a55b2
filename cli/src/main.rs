//! `ryo`: the one binary. The name it is called by chooses the program.

fn main() {}
