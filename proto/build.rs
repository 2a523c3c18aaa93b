//! Compiles every .proto file below `proto/` without protoc, and says of each message how much of it is
//! payload: its field called `payload`, if it has one.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    find(Path::new("proto"), &mut files)?;
    files.sort();
    let compiled = protox::compile(&files, ["proto"])?;
    let mut carries = String::new();
    for message in compiled.file.iter().flat_map(|file| &file.message_type) {
        let payload = message.field.iter().any(|field| field.name() == "payload");
        let body = if payload {
            "fn payload_bytes(&self) -> u64 { self.payload.len() as u64 }"
        } else {
            ""
        };
        writeln!(carries, "impl probe::Carries for v1::{} {{ {body} }}", message.name())?;
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("carries.rs"), carries)?;
    tonic_prost_build::configure()
        .codec_path("probe::TimedCodec")
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .type_attribute(".", "#[serde(deny_unknown_fields)]")
        .compile_fds(compiled)?;
    Ok(())
}

/// The .proto files of a folder and those below it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
