//! A pipe that was torn and mended: what it says to whoever reads from it.

use std::error::Error;
use std::fmt;
use std::io;

use crate::model::Cause;

/// An error of reading after which reading goes on: answers to requests that were sent before it may never come.
#[derive(Clone, Debug)]
pub struct Interruption {
    /// The highest id of a request that was sent.
    pub sent: u64,
    pub cause: Cause,
}

impl Interruption {
    /// What an error of reading says, if it is one after which reading goes on.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Interruption {}

impl From<Interruption> for io::Error {
    fn from(interruption: Interruption) -> Self {
        io::Error::new(io::ErrorKind::ConnectionReset, interruption)
    }
}
