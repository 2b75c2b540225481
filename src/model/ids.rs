//! Identifiers. All are cheap to clone and are shown shortened; none is reused within a run.

use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, shown $short:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first characters, enough to tell ids apart on a screen.
            pub fn short(&self) -> &str {
                self.0.char_indices().nth($short).map_or(&self.0, |(end, _)| &self.0[..end])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// One caller's set of instances: `rk_session_id` of the inherited contract.
    SessionId, shown 6
);
text_id!(
    /// One running environment.
    InstanceId, shown 8
);
text_id!(
    /// One run of the program; labels everything it creates.
    RunId, shown 8
);

/// `backend_name_ref` of the configuration.
pub type BackendName = Arc<str>;

/// One tool call, counted from 1 within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One stored result; the payload stays in the result store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultId(pub u64);
