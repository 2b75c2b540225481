//! Progress of what a client waits for, as notifications on the stream of its request.

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::gateway::wire::number;
use crate::model::Progress;

/// Notifications that a client may be behind; more recent ones are dropped, for progress only ever replaces itself.
const BEHIND: usize = 64;

/// Where the progress of one request goes.
#[derive(Clone)]
pub(in crate::gateway) struct Listener {
    token: Box<RawValue>,
    news: mpsc::Sender<Bytes>,
}

impl Listener {
    /// For the token that the client chose; and where the notifications come out.
    pub fn new(token: Box<RawValue>) -> (Self, mpsc::Receiver<Bytes>) {
        let (news, heard) = mpsc::channel(BEHIND);
        (Self { token, news }, heard)
    }

    pub fn hear(&self, progress: &Progress) {
        let mut params = json!({
            "progressToken": self.token,
            "progress": number(progress.done),
        });
        if let Some(total) = progress.total {
            params["total"] = number(total);
        }
        if let Some(message) = &progress.message {
            params["message"] = (&**message).into();
        }
        let notification = json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": params,
        });
        // A client that does not read misses some.
        let _ = self.news.try_send(notification.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_bears_the_token_of_the_client() {
        let token = RawValue::from_string("\"t\"".to_owned()).expect("JSON");
        let (listener, mut heard) = Listener::new(token);
        listener.hear(&Progress {
            done: 2.0,
            total: Some(4.5),
            message: Some("half".into()),
        });
        let text = heard.try_recv().expect("a notification");
        assert_eq!(
            text,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":2,"total":4.5,"message":"half"}}"#
        );
        let plain = Progress {
            done: 0.5,
            total: None,
            message: None,
        };
        for _ in 0..2 * BEHIND {
            listener.hear(&plain);
        }
    }
}
