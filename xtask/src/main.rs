//! `cargo xtask`: one name for each check of the project.

fn main() {}
