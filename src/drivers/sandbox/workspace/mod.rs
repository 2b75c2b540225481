//! How the files of a project, and the paths in its command line, get from the host into a sandbox.

mod ignore;
mod infer;
mod paths;
mod rewrite;
mod staging;

pub use self::ignore::Ignored;
pub use self::infer::{TooWide, infer};
pub use self::paths::unwrap_environment;
pub use self::rewrite::{Place, rewrite_argument, rewrite_command};
pub use self::staging::{Caps, Manifest, Source, Tally};
