//! The four addresses of a run, and whether they are free.

use std::net::SocketAddr;

use anyhow::{Result, bail};

use crate::port::{is_free, local};

/// Where everything listens, all on 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where clients connect: Envoy.
    pub listener: SocketAddr,
    /// Envoy's admin interface.
    pub admin: SocketAddr,
    /// The key service.
    pub key_service: SocketAddr,
    /// The echo upstream.
    pub upstream: SocketAddr,
}

impl Places {
    /// From ports on this machine.
    pub fn from_ports(listener: u16, admin: u16, key_service: u16, upstream: u16) -> Self {
        Self {
            listener: local(listener),
            admin: local(admin),
            key_service: local(key_service),
            upstream: local(upstream),
        }
    }

    /// Checks all of them before anything starts.
    ///
    /// # Errors
    /// Naming every port that is taken or used twice, what it is for and the variable that changes it.
    pub fn ensure_free(&self) -> Result<()> {
        let all = self.described();
        let mut problems = Vec::new();
        for (index, (address, purpose, variable)) in all.iter().enumerate() {
            let twice = all.iter().take(index).find(|(other, ..)| other == address);
            if let Some((_, other, _)) = twice {
                problems.push(format!("{address} is wanted both for {other} and for {purpose}: set {variable}"));
            } else if !is_free(*address) {
                problems.push(format!(
                    "{address}, wanted for {purpose}, is taken by another program: stop that one, or set {variable} \
                     to another port"
                ));
            }
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(())
    }

    fn described(&self) -> [(SocketAddr, &'static str, &'static str); 4] {
        [
            (self.listener, "Envoy's listener", "TOLLKEEPER_PORT"),
            (self.admin, "Envoy's admin interface", "TOLLKEEPER_ADMIN_PORT"),
            (self.key_service, "the key service", "TOLLKEEPER_KEYSERVICE_PORT"),
            (self.upstream, "the echo upstream", "TOLLKEEPER_UPSTREAM_PORT"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_purpose_and_its_variable() {
        let taken = TcpListener::bind(local(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = Places::from_ports(0, 0, port, 0).ensure_free().unwrap_err().to_string();
        for part in [port.to_string().as_str(), "key service", "TOLLKEEPER_KEYSERVICE_PORT"] {
            assert!(refused.contains(part), "{part} in: {refused}");
        }
    }

    #[test]
    fn one_port_for_two_purposes_is_refused() {
        let refused = Places::from_ports(7001, 7001, 7002, 7003).ensure_free().unwrap_err().to_string();
        assert!(refused.contains("TOLLKEEPER_ADMIN_PORT"), "{refused}");
    }
}
