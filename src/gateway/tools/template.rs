//! `template_details`: a path that a client names, confined to the configured roots.

use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::arguments::{Mistake, kind};
use crate::gateway::wire::text;

/// The real path of a template. Whatever links and dots are in it, it must lie in one of `roots`. Relative ones
/// count from the first root that has them.
///
/// What is there is never told: the same words for a path that is missing and for one that is forbidden, and for one
/// that is no directory where the `usual` template is one, or the other way round.
pub(super) async fn resolve(
    raw: &RawValue,
    roots: &[PathBuf],
    usual: Option<&Path>,
) -> Result<PathBuf, Mistake> {
    let Some(named) = text(raw) else {
        return Err(format!(
            "`template_details` must be a path, not {}",
            kind(raw)
        ));
    };
    if roots.is_empty() {
        return Err(
            "`template_details` is not allowed here: gateway.template_roots is not set".to_owned(),
        );
    }
    let (named, roots) = (PathBuf::from(&*named), roots.to_vec());
    let usual = usual.map(Path::to_owned);
    let find = move || {
        let is_alike = |found: &PathBuf| usual.is_none_or(|it| it.is_dir() == found.is_dir());
        confined(&named, &roots).filter(is_alike)
    };
    let found = tokio::task::spawn_blocking(find).await;
    found.ok().flatten().ok_or_else(|| {
        "`template_details` names no template below one of gateway.template_roots".to_owned()
    })
}

fn confined(named: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    if named.as_os_str().is_empty() || named.as_os_str().as_encoded_bytes().contains(&0) {
        return None;
    }
    roots.iter().find_map(|root| {
        let root = root.canonicalize().ok()?;
        // An absolute path replaces the root, and must still be inside.
        let real = root.join(named).canonicalize().ok()?;
        real.starts_with(&root).then_some(real)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_template_lies_below_a_root_whatever_its_path_says() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        for folder in ["roots/a/data", "roots/b/more", "roots-not", "secret"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(at("secret"), at("roots/a/out")).unwrap();
        symlink("data", at("roots/a/in")).unwrap();
        symlink(at("roots/a"), at("link")).unwrap();
        let roots = [at("link"), at("roots/b"), at("no such root")];
        let real = |path: &str| Some(at(path).canonicalize().unwrap());
        let find = |named: &Path| confined(named, &roots);

        assert_eq!(find(Path::new("data")), real("roots/a/data"));
        assert_eq!(find(Path::new("in")), real("roots/a/data"));
        assert_eq!(find(Path::new("more")), real("roots/b/more"));
        assert_eq!(find(&at("roots/a/data/../in/.")), real("roots/a/data"));
        assert_eq!(find(&at("link/data")), real("roots/a/data"));
        for outside in [
            at("secret"),
            at("roots-not"),
            at("roots/a/../../secret"),
            "out".into(),
            "../../secret".into(),
            "/etc".into(),
            "missing".into(),
            "".into(),
            "a\0b".into(),
        ] {
            assert_eq!(find(&outside), None, "{}", outside.display());
        }
    }

    #[tokio::test]
    async fn a_file_does_not_stand_in_for_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        fs::create_dir(root.join("directory")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let (roots, usual) = ([root.clone()], root.join("directory"));
        let is_found = async |name: &str, usual: Option<&Path>| {
            let raw = RawValue::from_string(format!("\"{name}\"")).unwrap();
            resolve(&raw, &roots, usual).await.is_ok()
        };
        assert!(is_found("directory", Some(&usual)).await);
        assert!(!is_found("file", Some(&usual)).await);
        assert!(!is_found("directory", Some(&root.join("file"))).await);
        assert!(is_found("file", None).await);
    }
}
