//! Compiles the .proto files without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["lab/v1/ping.proto", "lab/v1/users.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .codec_path("probe::TimedCodec")
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .type_attribute(".", "#[serde(deny_unknown_fields)]")
        .compile_fds(files)?;
    Ok(())
}
