//! Packs the filter: what it does not use is no longer exported, so Envoy does not enter the module for it.
//!
//! The SDK exports every callback there is, and Envoy calls each one it finds. Without the body, trailer and log
//! callbacks an empty filter costs measurably fewer instructions per request; what only they needed goes with them.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use walrus::{ExportId, Module, ModuleConfig, passes};

use crate::access;

/// What the host must find. Each entry lists the names that serve the same purpose; exactly one of them is there.
const EXPORTS: [&[&str]; 15] = [
    &["memory"],
    &["_initialize", "_start"],
    &["proxy_abi_version_0_2_1"],
    &["proxy_on_memory_allocate", "malloc"],
    &["proxy_on_vm_start"],
    &["proxy_on_configure"],
    &["proxy_on_tick"],
    &["proxy_on_context_create"],
    &["proxy_on_request_headers"],
    &["proxy_on_request_trailers"],
    &["proxy_on_response_headers"],
    &["proxy_on_response_trailers"],
    &["proxy_on_http_call_response"],
    &["proxy_on_queue_ready"],
    &["proxy_on_delete"],
];

/// What packing changed, in bytes and exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Size of the module as built, bytes.
    pub before: usize,
    /// Size of the packed module, bytes.
    pub after: usize,
    /// Exports that were removed.
    pub removed: usize,
}

/// Packs the module in the file `input` into the file `output`, which is replaced in one step.
///
/// # Errors
/// When `input` is no WebAssembly module or lacks an export that the host needs, or a file cannot be read or written.
pub fn pack_file(input: &Path, output: &Path) -> Result<Packed> {
    let built = std::fs::read(input).with_context(|| input.display().to_string())?;
    let (packed, removed) = pack(&built).with_context(|| input.display().to_string())?;
    access::write_public(output, &packed)?;
    Ok(Packed { before: built.len(), after: packed.len(), removed })
}

/// Packs a module; returns it with the number of exports that were removed.
///
/// # Errors
/// When it is no WebAssembly module or lacks an export that the host needs.
pub fn pack(module: &[u8]) -> Result<(Vec<u8>, usize)> {
    let mut module = ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(module)
        .context("not a WebAssembly module")?;
    ensure_complete(&module)?;
    let removed = remove_unused_exports(&mut module);
    remove_custom_sections(&mut module);
    passes::gc::run(&mut module);
    Ok((module.emit_wasm(), removed))
}

fn ensure_complete(module: &Module) -> Result<()> {
    for names in EXPORTS {
        let found = names.iter().filter(|name| module.exports.iter().any(|export| export.name == **name)).count();
        ensure!(found > 0, "the module does not export {}, which Envoy or the filter needs", names.join(" or "));
    }
    Ok(())
}

fn remove_unused_exports(module: &mut Module) -> usize {
    let unused: Vec<ExportId> =
        module.exports.iter().filter(|export| !is_used(&export.name)).map(walrus::Export::id).collect();
    for export in &unused {
        module.exports.delete(*export);
    }
    unused.len()
}

fn is_used(name: &str) -> bool {
    EXPORTS.iter().any(|names| names.contains(&name))
}

fn remove_custom_sections(module: &mut Module) {
    let sections: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for section in sections {
        module.customs.delete(section);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str = r#"
        (memory (export "memory") 1)
        (func (export "_initialize"))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate"))
        (func (export "proxy_on_vm_start"))
        (func (export "proxy_on_configure"))
        (func (export "proxy_on_tick"))
        (func (export "proxy_on_context_create"))
        (func (export "proxy_on_request_headers"))
        (func (export "proxy_on_request_trailers"))
        (func (export "proxy_on_response_headers"))
        (func (export "proxy_on_response_trailers"))
        (func (export "proxy_on_http_call_response"))
        (func (export "proxy_on_queue_ready"))
        (func (export "proxy_on_delete"))"#;

    fn module(more: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {NEEDED} {more})")).unwrap()
    }

    fn exports(module: &[u8]) -> Vec<String> {
        let module = ModuleConfig::new().parse(module).unwrap();
        module.exports.iter().map(|export| export.name.clone()).collect()
    }

    #[test]
    fn callbacks_that_the_filter_does_not_use_are_gone_with_what_only_they_needed() {
        let built = module(
            r#"(func $body (export "proxy_on_request_body") (call $only_for_bodies))
               (func $only_for_bodies)
               (func (export "proxy_on_log"))"#,
        );
        let (packed, removed) = pack(&built).unwrap();
        assert_eq!(removed, 2);
        let left = exports(&packed);
        assert_eq!(left.len(), EXPORTS.len(), "{left:?}");
        assert!(!left.contains(&"proxy_on_log".to_owned()));
        assert_eq!(ModuleConfig::new().parse(&packed).unwrap().funcs.iter().count(), EXPORTS.len() - 1);
    }

    #[test]
    fn a_module_without_a_callback_that_is_needed_is_refused_by_its_name() {
        let text = format!("(module {})", NEEDED.replace("proxy_on_tick", "proxy_on_tock"));
        let refused = pack(&wat::parse_str(text).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("proxy_on_tick"), "{refused}");
    }

    #[test]
    fn custom_sections_do_not_travel() {
        let built = module(r#"(@custom "target_features" "\01+x") (@custom "producers" "\00") (func $named)"#);
        let (packed, _) = pack(&built).unwrap();
        let text = String::from_utf8_lossy(&packed);
        assert!(!text.contains("target_features") && !text.contains("producers") && !text.contains("named"));
    }

    #[test]
    fn what_is_not_a_module_is_refused() {
        assert!(pack(b"#!/bin/sh").unwrap_err().to_string().contains("not a WebAssembly module"));
    }
}
