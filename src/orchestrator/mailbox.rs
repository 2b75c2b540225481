//! What reaches the task of an instance: wishes about its life, errands, and the end of its session.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::Asker;
use super::errand::Errand;
use super::handle::Reply;
use super::lifecycle::{Goal, Input, Life, Step, Wish};
use crate::model::{Failure, Phase, RestartPolicy, Stage};

/// Letters that may wait; then the sender is told that the instance is busy.
pub(super) const CAPACITY: usize = 256;

pub(super) enum Mail {
    Wish(Wish, Asker),
    Errand(Errand, Asker),
}

/// Mail that needs the instance to act.
pub(super) enum Letter {
    Wish(Wish),
    Errand(Errand, Asker),
}

pub(super) struct Mailbox {
    pub mail: mpsc::Receiver<Mail>,
    /// The session closes.
    pub leave: CancellationToken,
}

impl Mailbox {
    /// The next letter. Wishes that `life` refuses are answered here and never seen. Cancel-safe.
    pub async fn next(&mut self, life: Life) -> Letter {
        let leaving = life.phase == Phase::Stopping && life.goal == Goal::Leave;
        loop {
            let mail = tokio::select! {
                biased;
                () = self.leave.cancelled(), if !leaving => return Letter::Wish(Wish::Leave),
                mail = self.mail.recv() => mail,
            };
            match mail {
                Some(Mail::Wish(wish, asker)) => {
                    if let Some(why) = refusal(life, wish) {
                        asker.answer(Err(Failure::other(Stage::Run, why)));
                    } else {
                        asker.answer(Ok(Reply::Accepted));
                        return Letter::Wish(wish);
                    }
                }
                Some(Mail::Errand(errand, asker)) => return Letter::Errand(errand, asker),
                // The registry keeps a sender for as long as the instance is there.
                None => std::future::pending().await,
            }
        }
    }

    /// The next wish, while nothing else can be done: errands are refused with `why`. Cancel-safe.
    pub async fn wish(&mut self, life: Life, why: impl Fn() -> Failure) -> Wish {
        loop {
            match self.next(life).await {
                Letter::Wish(wish) => return wish,
                Letter::Errand(_, asker) => asker.answer(Err(why())),
            }
        }
    }

    /// Answers what is left when the instance is gone.
    pub fn close(&mut self, label: &str) {
        self.mail.close();
        while let Ok(mail) = self.mail.try_recv() {
            let (Mail::Wish(_, asker) | Mail::Errand(_, asker)) = mail;
            let gone = Failure::other(Stage::Run, format!("instance {label} was removed"));
            asker.answer(Err(gone));
        }
    }
}

fn refusal(life: Life, wish: Wish) -> Option<&'static str> {
    // No refusal depends on the restart policy.
    let (_, steps) = life.next(Input::Asked(wish), &RestartPolicy::Never);
    steps.iter().find_map(|step| match step {
        Step::Refuse(why) => Some(*why),
        _ => None,
    })
}
