//! Whose the data of a template becomes: the user's that the server runs as, or it could only read it.

use std::collections::HashMap;
use std::io::Read;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;

use crate::drivers::docker::engine::{Engine, USUAL};
use crate::drivers::docker::image::Image;
use crate::drivers::docker::labels::Labels;
use crate::drivers::docker::words::Trouble;
use crate::model::{Failure, Stage};

/// User and group by number.
pub type Owner = (u32, u32);

pub const ROOT: Owner = (0, 0);

/// The users of images, once looked up.
#[derive(Default)]
pub struct Owners {
    /// By the image's id and the user as it was named.
    known: Mutex<HashMap<(String, String), Owner>>,
}

impl Owners {
    /// The user that a container of this image runs as; `user` instead of the image's own, if given.
    pub async fn of(
        &self,
        engine: &Engine,
        labels: &Labels,
        image: &Image,
        user: Option<&str>,
    ) -> Result<Owner, Failure> {
        let user = user.or(image.config.user.as_deref()).unwrap_or_default();
        if let Some(owner) = by_number(user) {
            return Ok(owner);
        }
        let key = (image.id.to_string(), user.to_owned());
        if let Some(owner) = self.known.lock().get(&key) {
            return Ok(*owner);
        }
        let looked_up = look_up(engine, labels, &image.id, user).await;
        let owner = looked_up.map_err(|trouble| trouble.at(Stage::Prepare))?;
        let owner = owner.ok_or_else(|| {
            let text = format!(
                "{} has no user or group {user} to give the template to",
                image.reference
            );
            Failure::other(Stage::Prepare, text)
                .hint("correct `user`, or give it by number: UID:GID")
        })?;
        self.known.lock().insert(key, owner);
        Ok(owner)
    }
}

/// `UID`, `UID:GID`, or nothing, which is root.
fn by_number(user: &str) -> Option<Owner> {
    let (user, group) = user.split_once(':').unwrap_or((user, "0"));
    match user {
        "" | "root" => Some((0, group.parse().unwrap_or_default())),
        _ => Some((user.parse().ok()?, group.parse().ok()?)),
    }
}

/// Reads the files of users and groups in the image; a container that never starts shows them.
async fn look_up(
    engine: &Engine,
    labels: &Labels,
    image: &str,
    user: &str,
) -> Result<Option<Owner>, Trouble> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        // Never run; some images name no command.
        cmd: Some(vec!["none".into()]),
        labels: Some(labels.clone()),
        ..ContainerCreateBody::default()
    };
    let created = engine.ask("create a container", USUAL, |docker| async move {
        docker
            .create_container(None::<CreateContainerOptions>, body)
            .await
    });
    let id = created.await?.id;
    let read = async {
        let users = file(engine, &id, "/etc/passwd").await?;
        let groups = file(engine, &id, "/etc/group").await?;
        Ok(by_name(user, &users, &groups))
    };
    let found = read.await;
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let removed = engine.ask("remove the container", USUAL, |docker| async move {
        docker.remove_container(&id, Some(options)).await
    });
    removed.await?;
    found
}

/// A small text file of a container; empty where there is none.
async fn file(engine: &Engine, id: &str, path: &str) -> Result<String, Trouble> {
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(path)
        .build();
    let asked = engine.ask("read a file of the image", USUAL, |docker| async move {
        docker
            .download_from_container(id, Some(options))
            .try_collect::<Vec<Bytes>>()
            .await
    });
    let parts = match asked.await {
        Err(trouble) if trouble.is_gone() => return Ok(String::new()),
        parts => parts?.concat(),
    };
    let mut text = String::new();
    let mut archive = tar::Archive::new(&*parts);
    if let Some(Ok(mut entry)) = archive
        .entries()
        .ok()
        .and_then(|mut entries| entries.next())
    {
        // What is no text names no user.
        let _ = entry.read_to_string(&mut text);
    }
    Ok(text)
}

/// `name:x:UID:GID:…` and `name:x:GID:…`
fn by_name(user: &str, users: &str, groups: &str) -> Option<Owner> {
    let (user, group) = user
        .split_once(':')
        .map_or((user, None), |(user, group)| (user, Some(group)));
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.split(':').map(str::to_owned).collect())
            .collect()
    };
    let users: Vec<Vec<String>> = lines(users);
    let groups: Vec<Vec<String>> = lines(groups);
    let number = |line: &Vec<String>, at: usize| line.get(at)?.parse::<u32>().ok();
    let known = users
        .iter()
        .find(|line| line[0] == user || line.get(2).is_some_and(|uid| uid == user));
    let uid = user.parse().ok().or_else(|| number(known?, 2))?;
    let gid = match group {
        None => known.and_then(|line| number(line, 3)).unwrap_or_default(),
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => number(groups.iter().find(|line| line[0] == group)?, 2)?,
        },
    };
    Some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number_and_by_name() {
        assert_eq!(by_number(""), Some(ROOT));
        assert_eq!(by_number("1000"), Some((1000, 0)));
        assert_eq!(by_number("1000:100"), Some((1000, 100)));
        assert_eq!(by_number("app"), None);
        assert_eq!(by_number("1000:staff"), None);
        let (users, groups) = ("root:x:0:0:::\napp:x:1000:1001:::\n", "staff:x:50:\n");
        assert_eq!(by_name("app", users, groups), Some((1000, 1001)));
        assert_eq!(by_name("app:staff", users, groups), Some((1000, 50)));
        assert_eq!(by_name("app:7", users, groups), Some((1000, 7)));
        assert_eq!(by_name("1000:staff", users, groups), Some((1000, 50)));
        assert_eq!(by_name("nobody", users, groups), None);
        assert_eq!(by_name("app:nobody", users, groups), None);
    }
}
