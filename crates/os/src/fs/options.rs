//! How to open a file.

/// How to open a [`File`](super::File); as `std::fs::OpenOptions`, but by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) append: bool,
    pub(super) truncate: bool,
    pub(super) create: bool,
    pub(super) create_new: bool,
    pub(super) mode: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions::new()
    }
}

/// Sets one of the yes/no options.
macro_rules! option {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use]
        pub const fn $name(mut self, yes: bool) -> OpenOptions {
            self.$name = yes;
            self
        }
    };
}

impl OpenOptions {
    /// None set; a file that is made has the mode 0o666, less the process's mask.
    #[must_use]
    pub const fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
        }
    }

    option! {
        /// For reading.
        read
    }
    option! {
        /// For writing.
        write
    }
    option! {
        /// For writing at the end, wherever that is at the time of the write.
        append
    }
    option! {
        /// Cuts the file to nothing when it is opened.
        truncate
    }
    option! {
        /// Makes the file if it is not there.
        create
    }
    option! {
        /// Makes the file, which must not be there.
        create_new
    }

    /// The permissions of a file that is made, less the process's mask.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> OpenOptions {
        self.mode = mode;
        self
    }
}
