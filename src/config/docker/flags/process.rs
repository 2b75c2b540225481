//! What runs in the container: environment, user, labels, files, log, health.

use super::{Flag, switch, text, wide};
use crate::config::docker::values::{files, mount, mounts, names, numbers};
use crate::config::docker::wrong::{Wrong, put};
use crate::model::{ContainerOptions, HealthCheck, HealthTest, Pull, Secret};

pub const FLAGS: &[Flag] = &[
    wide("env", |draft, text, shared| {
        let (name, value) = names::variable(text)?;
        let value = value.map(str::to_owned).or_else(|| (shared.env)(name));
        let value = value.ok_or_else(unset)?;
        let variables = &mut draft.options.environment;
        variables.insert(name.to_owned(), Secret::new(value));
        Ok(())
    })
    .short('e'),
    wide("env-file", |draft, text, shared| {
        let variables = files::variables(text, shared)?;
        draft.options.environment.extend(variables);
        Ok(())
    }),
    text("label", |o, text| {
        let (name, value) = names::label(text)?;
        o.labels.insert(name, value);
        Ok(())
    })
    .short('l'),
    wide("label-file", |draft, text, shared| {
        draft.options.labels.extend(files::labels(text, shared)?);
        Ok(())
    }),
    text("entrypoint", |o, text| {
        let words = (!text.is_empty()).then(|| text.to_owned());
        put(&mut o.entrypoint, Ok(words.into_iter().collect()))
    }),
    text("user", |o, text| put(&mut o.user, names::user(text))).short('u'),
    text("workdir", |o, text| {
        put(&mut o.working_dir, mounts::directory(text))
    })
    .short('w'),
    text("stop-signal", |o, text| {
        put(&mut o.stop_signal, names::signal(text))
    }),
    switch("interactive", |draft, on| {
        draft.options.keep_stdin_open = on;
    })
    .short('i'),
    text("platform", |o, text| {
        put(&mut o.platform, names::platform(text))
    }),
    text("pull", |o, text| {
        o.pull = names::choice::<Pull>(text)?;
        Ok(())
    }),
    text("runtime", |o, text| {
        put(&mut o.runtime, names::nonempty(text))
    }),
    wide("volume", |draft, text, shared| {
        draft.mount(mounts::volume(text, shared)?)
    })
    .short('v'),
    wide("mount", |draft, text, shared| {
        draft.mounted(mount::mount(text, shared)?)
    }),
    wide("tmpfs", |draft, text, _| {
        let (target, options) = mounts::tmpfs(text)?;
        draft.tmpfs(target, options)
    }),
    text("volumes-from", |o, text| {
        o.storage.volumes_from.push(mounts::volumes_from(text)?);
        Ok(())
    }),
    text("volume-driver", |o, text| {
        put(&mut o.storage.volume_driver, names::nonempty(text))
    }),
    switch("read-only", |draft, on| {
        draft.options.storage.read_only = on;
    }),
    text("shm-size", |o, text| {
        put(&mut o.storage.shm_size, numbers::bytes(text))
    }),
    text("storage-opt", |o, text| {
        let (name, value) = names::pair(text, "name=value, such as size=10G")?;
        o.storage.driver_options.insert(name, value);
        Ok(())
    }),
    wide("log-driver", |draft, text, _| {
        // Options are those of a driver.
        if !draft.says("log-opt") {
            draft.options.logging.options.clear();
        }
        put(&mut draft.options.logging.driver, names::nonempty(text))
    }),
    text("log-opt", |o, text| {
        let (name, value) = names::pair(text, "name=value, such as max-size=10m")?;
        o.logging.options.insert(name, Secret::new(value));
        Ok(())
    }),
    text("health-cmd", |o, text| {
        let line = names::nonempty(text)?;
        probe(o).test = Some(HealthTest::Shell(line));
        Ok(())
    }),
    text("health-interval", |o, text| {
        put(&mut probe(o).interval, numbers::duration(text))
    }),
    text("health-timeout", |o, text| {
        put(&mut probe(o).timeout, numbers::duration(text))
    }),
    text("health-start-period", |o, text| {
        put(&mut probe(o).start_period, numbers::duration(text))
    }),
    text("health-retries", |o, text| {
        let retries = numbers::whole(text, 0..=i64::from(i32::MAX))?;
        probe(o).retries = retries.try_into().ok();
        Ok(())
    }),
    switch("no-healthcheck", |draft, on| {
        draft.options.health = HealthCheck {
            disabled: on,
            ..HealthCheck::default()
        };
    }),
];

fn unset() -> Wrong {
    Wrong::new("names a variable that is not set in the environment of envdeck")
        .hint("set it, or write NAME=value")
}

/// What is said of a probe takes back that there is none.
fn probe(options: &mut ContainerOptions) -> &mut HealthCheck {
    options.health.disabled = false;
    &mut options.health
}
