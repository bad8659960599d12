//! Envoy's configuration for the lab: a file of the folder `envoy/`, which users read, with only the places changed
//! that must be.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

const EDGE: &str = include_str!("../../envoy/edge.yaml");

const LISTENER: &str = "/static_resources/listeners/0";
const CONNECTION_MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
const FILTER: &str = "/http_filters/0/typed_config/config";

/// `envoy/edge.yaml`, or a file like it, as a tree of values, to be edited and then rendered as JSON, which Envoy reads as well.
#[derive(Clone, Debug)]
pub struct Bootstrap(Value);

/// A bootstrap whose one listener comes from a file that Envoy watches, so that it can be replaced while Envoy runs.
#[derive(Clone, Debug)]
pub struct DynamicBootstrap {
    /// What Envoy is started with.
    pub bootstrap: Value,
    /// The content of the watched file.
    pub listeners: Value,
}

impl Bootstrap {
    /// The edge configuration as it is in the repository.
    ///
    /// # Errors
    /// When it is not YAML, which a test rules out.
    pub fn edge() -> Result<Self> {
        serde_saphyr::from_str(EDGE).map(Self).context("envoy/edge.yaml")
    }

    /// Another file of the folder `envoy/`, by its name there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(name: &str) -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy").join(name);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_saphyr::from_str(&text).map(Self).with_context(|| file.display().to_string())
    }

    /// Where clients connect; port 0 lets Envoy take a free one.
    ///
    /// # Errors
    /// When the file has lost the place that is changed; so do all that follow.
    pub fn listener(&mut self, address: SocketAddr) -> Result<()> {
        set_address(self.at(&format!("{LISTENER}/address"))?, address);
        Ok(())
    }

    /// Where the admin interface listens; port 0 lets Envoy take a free one.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn admin(&mut self, address: SocketAddr) -> Result<()> {
        set_address(self.at("/admin/address")?, address);
        Ok(())
    }

    /// Whether there is a cluster of this name.
    pub fn has_cluster(&self, name: &str) -> bool {
        let clusters = self.0["static_resources"]["clusters"].as_array();
        clusters.into_iter().flatten().any(|cluster| cluster["name"] == name)
    }

    /// Where the cluster `name` is (`upstream`, `keyservice`).
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn cluster(&mut self, name: &str, address: SocketAddr) -> Result<()> {
        let cluster = self.cluster_at(name)?;
        let place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
        set_address(at(cluster, place)?, address);
        // On a machine that is busy with other tests, connections that wait for their turn are no failures.
        cluster["connect_timeout"] = json!("20s");
        Ok(())
    }

    /// Takes the cluster `name` from another file of the folder `envoy/`, a list of clusters, but for its place, and edits it.
    ///
    /// # Errors
    /// When it cannot be read, or has no such cluster.
    pub fn cluster_of_file(&mut self, name: &str, file: &str, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let Self(clusters) = Self::of_file(file)?;
        let found = clusters.as_array().and_then(|clusters| clusters.iter().find(|cluster| cluster["name"] == name));
        let mut found = found.with_context(|| format!("{file} has no cluster {name}"))?.clone();
        edit(&mut found);
        let cluster = self.cluster_at(name)?;
        for kept in ["load_assignment", "connect_timeout"] {
            found[kept] = cluster[kept].take();
        }
        *cluster = found;
        Ok(())
    }

    /// Which module Envoy loads.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn wasm(&mut self, file: &Path) -> Result<()> {
        *self.filter_at("/vm_config/code/local/filename")? = json!(file);
        Ok(())
    }

    /// Under which name the module shares its data.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn vm_id(&mut self, name: &str) -> Result<()> {
        *self.filter_at("/vm_config/vm_id")? = json!(name);
        Ok(())
    }

    /// Edits the filter's own configuration.
    ///
    /// # Errors
    /// When it is not JSON; otherwise see [`Self::listener`].
    pub fn filter(&mut self, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let mut configuration = self.filter_configuration()?;
        edit(&mut configuration);
        self.filter_text(&configuration.to_string())
    }

    /// Which variables of Envoy's environment the module can read.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn environment_of_the_filter(&mut self, names: &[&str]) -> Result<()> {
        *self.filter_at("/vm_config/environment_variables/host_env_keys")? = json!(names);
        Ok(())
    }

    /// Replaces the filter's own configuration by any text, also one that it must refuse.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn filter_text(&mut self, text: &str) -> Result<()> {
        *self.filter_at("/configuration/value")? = json!(text);
        Ok(())
    }

    /// The filter's own configuration.
    ///
    /// # Errors
    /// When it is not JSON; otherwise see [`Self::listener`].
    pub fn filter_configuration(&mut self) -> Result<Value> {
        let text = self.filter_at("/configuration/value")?.as_str().context("the filter's configuration is no text")?;
        serde_json::from_str(text).context("the filter's configuration")
    }

    /// The filter's instance.
    ///
    /// # Errors
    /// See [`Self::filter_configuration`].
    pub fn instance(&self) -> Result<String> {
        let configuration = self.clone().filter_configuration()?;
        Ok(configuration["instance"].as_str().unwrap_or("default").to_owned())
    }

    /// What this Envoy is called.
    pub fn node(&mut self, id: &str) {
        self.0["node"] = json!({ "id": id, "cluster": "lab" });
    }

    /// Sends the access log to a file instead of standard output.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn access_log(&mut self, file: &Path) -> Result<()> {
        let log = self.at(&format!("{LISTENER}{CONNECTION_MANAGER}/access_log/0"))?;
        log["name"] = json!("envoy.access_loggers.file");
        let settings = at(log, "/typed_config")?;
        settings["@type"] = json!("type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog");
        settings["path"] = json!(file);
        Ok(())
    }

    /// Edits anything; the last resort, for what has no method of its own.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        edit(&mut self.0);
    }

    /// As Envoy reads it.
    pub fn to_json(&self) -> String {
        format!("{:#}", self.0)
    }

    /// Moves the listener out into a file that Envoy watches. `version` names this state of it.
    ///
    /// # Errors
    /// See [`Self::listener`].
    pub fn dynamic(&self, watched_file: &Path, version: u64) -> Result<DynamicBootstrap> {
        let mut bootstrap = self.0.clone();
        let mut listener = at(&mut bootstrap, LISTENER)?.take();
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        at(&mut bootstrap, "/static_resources")?["listeners"] = json!([]);
        if bootstrap["node"].is_null() {
            bootstrap["node"] = json!({ "id": "lab", "cluster": "lab" });
        }
        bootstrap["dynamic_resources"] = json!({
            "lds_config": { "resource_api_version": "V3", "path_config_source": { "path": watched_file } }
        });
        let listeners = json!({ "version_info": version.to_string(), "resources": [listener] });
        Ok(DynamicBootstrap { bootstrap, listeners })
    }

    fn cluster_at(&mut self, name: &str) -> Result<&mut Value> {
        let clusters = self.at("/static_resources/clusters")?.as_array_mut().context("clusters is no list")?;
        let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == name);
        cluster.with_context(|| format!("the file has no cluster {name}"))
    }

    fn filter_at(&mut self, place: &str) -> Result<&mut Value> {
        self.at(&format!("{LISTENER}{CONNECTION_MANAGER}{FILTER}{place}"))
    }

    fn at(&mut self, place: &str) -> Result<&mut Value> {
        at(&mut self.0, place)
    }
}

fn at<'a>(tree: &'a mut Value, place: &str) -> Result<&'a mut Value> {
    tree.pointer_mut(place).with_context(|| format!("the file has no {place}"))
}

fn set_address(address: &mut Value, to: SocketAddr) {
    *address = json!({ "socket_address": { "address": to.ip().to_string(), "port_value": to.port() } });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::local;

    #[test]
    fn every_place_that_the_lab_changes_is_in_the_edge_configuration() {
        let mut edge = Bootstrap::edge().unwrap();
        edge.listener(local(1)).unwrap();
        edge.admin(local(2)).unwrap();
        edge.cluster("upstream", local(3)).unwrap();
        edge.cluster("keyservice", local(4)).unwrap();
        edge.wasm(Path::new("/f.wasm")).unwrap();
        edge.access_log(Path::new("/a.log")).unwrap();
        edge.filter(|filter| filter["quota"] = json!({ "limit": 7, "window_seconds": 9 })).unwrap();
        let text = edge.to_json();
        for part in ["\"port_value\": 1", "\"port_value\": 2", "\"port_value\": 3", "\"port_value\": 4"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains("/f.wasm") && text.contains("/a.log") && text.contains("FileAccessLog"));
        assert_eq!(edge.filter_configuration().unwrap()["quota"]["limit"], 7);
    }

    #[test]
    fn the_dynamic_form_has_its_listener_in_the_watched_file_only() {
        let dynamic = Bootstrap::edge().unwrap().dynamic(Path::new("/l.json"), 3).unwrap();
        assert_eq!(dynamic.bootstrap["static_resources"]["listeners"], json!([]));
        assert_eq!(dynamic.listeners["version_info"], "3");
        assert_eq!(dynamic.listeners["resources"][0]["name"], "edge");
    }

    #[test]
    fn an_unknown_cluster_is_named() {
        let refused = Bootstrap::edge().unwrap().cluster("nowhere", local(1)).unwrap_err().to_string();
        assert!(refused.contains("nowhere"), "{refused}");
    }
}
