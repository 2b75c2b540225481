//! Who may come in to the gateway, and where: what the command line says in place of the section `gateway`.

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};

use crate::config::Config;
use crate::model::{GatewayOptions, Secret};

/// Who may come in.
#[derive(Debug, Args)]
pub struct Access {
    // Read without a check: what clap refuses it also repeats.
    /// What clients must send as `Authorization: Bearer …`; better by the variable, for others see a command line
    #[arg(long, value_name = "TOKEN", env = "ENVDECK_TOKEN", hide_env_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    pub token: Option<Secret>,

    /// Let everybody who reaches the address come in without a token
    #[arg(long)]
    pub insecure: bool,
}

impl Access {
    /// # Errors
    /// What is wrong with the token, in words that do not repeat it.
    pub fn apply(&self, options: &mut GatewayOptions) -> Result<(), String> {
        options.insecure |= self.insecure;
        let Some(token) = &self.token else {
            return Ok(());
        };
        if let Some(problem) = GatewayOptions::token_problem(token.expose()) {
            return Err(format!("--token (or ENVDECK_TOKEN) {problem}"));
        }
        options.token = Some(token.clone());
        Ok(())
    }
}

/// Where the console lets agents come in.
#[derive(Debug, Args)]
pub struct Listen {
    /// Let agents come in, too: at HOST:PORT, a PORT of this machine, or where the configuration says
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "", value_parser = place)]
    pub listen: Option<Place>,

    #[command(flatten)]
    pub access: Access,
}

impl Listen {
    /// # Errors
    /// What is wrong with the token.
    pub fn configure(&self, mut config: Config) -> Result<Config, String> {
        if let Some(place) = &self.listen {
            place.apply(&mut config.gateway);
            self.access.apply(&mut config.gateway)?;
        }
        Ok(config)
    }
}

/// What of an address is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub host: Option<String>,
    pub port: Option<u16>,
}

impl Place {
    pub fn apply(&self, options: &mut GatewayOptions) {
        if let Some(host) = &self.host {
            options.host.clone_from(host);
        }
        if let Some(port) = self.port {
            options.port = port;
        }
    }
}

fn place(text: &str) -> Result<Place, &'static str> {
    if text.is_empty() {
        return Ok(Place::default());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, text),
    };
    // An address of IPv6 is written in brackets beside a port.
    let host = host.map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    match (host, port.parse()) {
        (Some(""), _) | (_, Err(_)) => Err("expected HOST:PORT or a PORT, such as 127.0.0.1:8001"),
        (host, Ok(port)) => Ok(Place {
            host: host.map(str::to_owned),
            port: Some(port),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_may_have_a_host() {
        let read = |text| place(text).map(|place| (place.host, place.port));
        let host = |host: &str| Some(host.to_owned());
        assert_eq!(read(""), Ok((None, None)));
        assert_eq!(read("0"), Ok((None, Some(0))));
        assert_eq!(read("localhost:80"), Ok((host("localhost"), Some(80))));
        assert_eq!(read("[::1]:8001"), Ok((host("::1"), Some(8001))));
        for wrong in ["host", ":80", "host:", "host:99999", "http://x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
