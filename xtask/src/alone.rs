//! A library crate stands alone: a package outside the workspace that depends on it by path builds,
//! and what that pulls in is printed.

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::test::fresh_folder;
use crate::workspace::Package;

pub(crate) static STEP: Step = Step {
    name: "alone",
    about: "a crate builds from outside the workspace; prints what it pulls in",
    rerun: "alone",
    run,
};

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let mut crates: Vec<&Package> =
        context.workspace.packages.iter().filter(|package| package.is_library()).collect();
    if let Some(name) = arguments.first() {
        crates.retain(|package| package.short() == name || package.name == *name);
        if crates.is_empty() {
            return Err(Failure(format!("`{name}` is none of the library crates")));
        }
    }
    let outside = std::env::temp_dir().join(format!("alone-{}", std::process::id()));
    let answer = crates.iter().try_for_each(|package| build(context, package, &outside));
    let _ = std::fs::remove_dir_all(&outside);
    answer?;
    passed(format!("{} crates", crates.len()))
}

fn build(context: &Context, package: &Package, outside: &std::path::Path) -> Result<(), Failure> {
    fresh_folder(&outside.join("src"))?;
    let path = context.root.join(&package.dir);
    // A quoted TOML string and a Rust debug string agree on every character a path may hold.
    let manifest = format!(
        "[package]\nname = \"guest\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{} = {{ path = {path:?} }}\n\n[workspace]\n",
        package.name
    );
    std::fs::write(outside.join("Cargo.toml"), manifest)?;
    std::fs::write(
        outside.join("src/lib.rs"),
        format!("pub use {} as it;\n", package.name.replace('-', "_")),
    )?;
    // The same versions as inside.
    std::fs::copy(context.root.join("Cargo.lock"), outside.join("Cargo.lock"))?;
    let cargo = |arguments: &[&str]| {
        let cmd = context.cargo(arguments).dir(outside);
        cmd.env("CARGO_TARGET_DIR", context.target.join("alone"))
    };
    cargo(&["build", "--quiet"]).check()?;
    let tree = cargo(&["tree", "--edges", "normal,build", "--package", &package.name]).check()?;
    let listing = ["tree", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"];
    let flat = cargo(&listing).args(["--package", &package.name]).check()?;
    let pulled: std::collections::BTreeSet<&str> = flat.stdout.lines().skip(1).collect();
    println!("{}  {} pulls in {} packages\n", indent(&tree.stdout), package.short(), pulled.len());
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
