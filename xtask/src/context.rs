//! What every step is told: where the tree is, where builds go, and what it may do.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::shell::Cmd;
use crate::step::Failure;
use crate::workspace::Workspace;

/// The setting of one run of `cargo xtask`.
pub(crate) struct Context {
    /// The workspace's root folder.
    pub(crate) root: PathBuf,
    /// Where builds with the ordinary flags go; builds with other flags get a folder inside it.
    pub(crate) target: PathBuf,
    /// Whether a step may install the tool it needs.
    pub(crate) install: bool,
    /// Whether this is the project's CI (`CI=true`).
    pub(crate) ci: bool,
    /// The members of the workspace.
    pub(crate) workspace: Workspace,
    /// Which steps of this run have left their lab tests' traces, for the determinism step.
    pub(crate) traced: RefCell<Vec<&'static str>>,
}

impl Context {
    /// Reads the workspace this program belongs to.
    pub(crate) fn new(install: bool) -> Result<Self, Failure> {
        let own = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = own.parent().ok_or("xtask stands in no workspace")?.to_path_buf();
        let (workspace, target) = Workspace::read(&root)?;
        let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        Ok(Context { root, target, install, ci, workspace, traced: RefCell::default() })
    }

    /// A `cargo` call in the root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Cmd {
        self.tool("cargo", arguments)
    }

    /// Any other call in the root.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) -> Cmd {
        Cmd::new(program).args(arguments).dir(&self.root)
    }
}
