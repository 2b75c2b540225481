//! Options of `docker run` that are not for a container of envdeck's, or that it gives anyway.

use super::{Effect, Flag, flag};

const CLIENT: &str = "it is about the docker command, which envdeck does not run — remove it";
const WINDOWS: &str = "it is for Windows containers";
const NEWER: &str = "it needs an engine API newer than the 1.41 that envdeck speaks";

const fn option(name: &'static str, why: &'static str) -> Flag {
    let is_switch = false;
    flag(name, Effect::Refused { is_switch, why })
}

const fn alone(name: &'static str, why: &'static str) -> Flag {
    let is_switch = true;
    flag(name, Effect::Refused { is_switch, why })
}

const fn given(name: &'static str, value: bool, why: &'static str) -> Flag {
    flag(name, Effect::Given { value, why })
}

pub const FLAGS: &[Flag] = &[
    given(
        "rm",
        true,
        "envdeck always removes a container with its instance",
    ),
    given("detach", true, "envdeck always runs containers detached").short('d'),
    option(
        "name",
        "every instance needs a name of its own, which envdeck gives",
    ),
    option(
        "restart",
        "envdeck restarts instances itself — use the key restart",
    ),
    option(
        "stop-timeout",
        "envdeck stops instances itself — use the key stop_grace",
    ),
    alone(
        "tty",
        "a terminal garbles MCP on stdio and mixes errors into the log — remove it",
    )
    .short('t'),
    option("attach", CLIENT).short('a'),
    option("detach-keys", CLIENT),
    option("cidfile", CLIENT),
    alone("sig-proxy", CLIENT),
    alone("quiet", CLIENT).short('q'),
    alone("disable-content-trust", CLIENT),
    alone("help", CLIENT),
    alone(
        "use-api-socket",
        "envdeck has no credentials of a docker command to give",
    ),
    option("isolation", WINDOWS),
    option("cpu-count", WINDOWS),
    option("cpu-percent", WINDOWS),
    option("io-maxbandwidth", WINDOWS),
    option("io-maxiops", WINDOWS),
    option(
        "kernel-memory",
        "engines no longer support it — use --memory",
    ),
    option("annotation", NEWER),
    option("health-start-interval", NEWER),
    option(
        "mac-address",
        "older and newer engines want it in different places",
    ),
];
