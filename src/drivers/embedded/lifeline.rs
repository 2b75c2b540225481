//! Lets a server inside this process die as a process does: at once, and without another word.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, OnceLock};

use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio_util::sync::CancellationToken;

/// Whether an instance lives, and the status it ended with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Life {
    over: CancellationToken,
    status: Arc<OnceLock<i32>>,
}

impl Life {
    /// Ends it; the first status counts.
    pub fn end(&self, status: i32) {
        self.status.get_or_init(|| status);
        self.over.cancel();
    }

    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Resolves when it is over.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// The exit status; 0 for one that has not ended or ended in order.
    pub fn status(&self) -> i32 {
        self.status.get().copied().unwrap_or(0)
    }
}

/// A transport that is cut when the life is over. Without it the service would first answer all open
/// requests, for up to 5 s. The end of the input ends the life, as it ends a server on stdin.
pub struct Lifeline<T> {
    transport: Option<T>,
    life: Life,
}

impl<T> Lifeline<T> {
    pub fn new(transport: T, life: Life) -> Self {
        Self {
            transport: Some(transport),
            life,
        }
    }
}

impl<T: Transport<RoleServer, Error = Error>> Transport<RoleServer> for Lifeline<T> {
    type Error = Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let sending = self
            .transport
            .as_mut()
            .map(|transport| transport.send(message));
        let life = self.life.clone();
        async move {
            let cut = || Error::from(ErrorKind::BrokenPipe);
            tokio::select! {
                biased;
                () = life.over() => Err(cut()),
                sent = async { match sending {
                    Some(sending) => sending.await,
                    None => Err(cut()),
                } } => sent,
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let transport = self.transport.as_mut()?;
        let message = tokio::select! {
            biased;
            () = self.life.over() => None,
            message = transport.receive() => message,
        };
        if message.is_none() {
            self.life.end(0);
            self.transport = None;
        }
        message
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.life.end(0);
        self.transport = None;
        Ok(())
    }
}
