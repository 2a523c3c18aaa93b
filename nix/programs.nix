# The workspace, built once with its tests; the programs out of it; and the lints over the same sources.
{ lib, pkgs }:
let
  # What the build and its tests read, and nothing else: another README is no other program.
  source = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions (
      [
        ../Cargo.toml
        ../Cargo.lock
        ../flake.lock
        ../clippy.toml
        ../rustfmt.toml
        ../ledger
        ../settings
        ../proto
        ../probe
        ../services
        ../sidecar
        ../lab
        ../k6
        ../docker/health
        ../test-parts
        ../docs/adding-a-hop.md
        ../docs/command-line.md
        ../docs/reference.md
        ../docs/troubleshooting.md
        ../docs/influxdb.md
      ]
      ++ lib.optional (builtins.pathExists ../grafana) ../grafana
    );
  };

  workspace = pkgs.rustPlatform.buildRustPackage {
    pname = "hoplab";
    version = (lib.importTOML ../Cargo.toml).workspace.package.version;
    src = source;
    cargoLock.lockFile = ../Cargo.lock;
    cargoBuildFlags = [ "--workspace" ];
    # The rule: tests that start no program. These are the unit tests of every crate and the tests of the
    # ledger's arithmetic, of plans, and of verdicts and reports. What starts the lab, k6, InfluxDB or
    # PostgreSQL is in the other files of the crates' tests/ folders, and is .ci/run's to run.
    cargoTestFlags = [
      "--workspace"
      "--lib"
      "--test"
      "books"
      "--test"
      "plans"
      "--test"
      "judging"
    ];
    # Made by the program itself, so that they cannot tell of other options than it has.
    postInstall = ''
      share=$out/share
      mkdir -p $share/bash-completion/completions $share/zsh/site-functions $share/fish/vendor_completions.d
      $out/bin/run-lab completions bash > $share/bash-completion/completions/run-lab
      $out/bin/run-lab completions zsh > $share/zsh/site-functions/_run-lab
      $out/bin/run-lab completions fish > $share/fish/vendor_completions.d/run-lab.fish
      $out/bin/run-lab man --out $share/man/man1
    '';
    meta = {
      description = "A lab that says where a microservice's latency goes";
      license = [
        lib.licenses.asl20
        lib.licenses.mit
      ];
      platforms = lib.platforms.linux;
      mainProgram = "run-lab";
    };
  };

  # A check is the same build with another last step.
  lint =
    name: tools: command:
    workspace.overrideAttrs (old: {
      pname = "hoplab-${name}";
      nativeBuildInputs = old.nativeBuildInputs ++ tools;
      buildPhase = command;
      doCheck = false;
      installPhase = "touch $out";
    });

  program =
    name:
    pkgs.runCommand name { meta.mainProgram = name; } ''
      install -D -m755 ${workspace}/bin/${name} $out/bin/${name}
    '';

  wrapped =
    parts: settings:
    pkgs.runCommand "run-lab"
      {
        nativeBuildInputs = [ pkgs.makeWrapper ];
        meta.mainProgram = "run-lab";
      }
      ''
        mkdir -p $out/bin
        makeWrapper ${workspace}/bin/run-lab $out/bin/run-lab \
          --prefix PATH : ${lib.makeBinPath parts} ${settings}
        ln -s ${workspace}/share $out/share
      '';

  stores = [
    pkgs.influxdb2
    pkgs.postgresql_17
  ];
  # k6 and Grafana are under the AGPL: whoever builds this has them from nixpkgs, for themselves.
  realParts = stores ++ [
    pkgs.k6
    pkgs.grafana
  ];
  # Grafana finds its own pages relative to nothing: it has to be told.
  grafanaHome = "${pkgs.grafana}/share/grafana";
in
{
  inherit workspace realParts grafanaHome;

  gateway = program "gateway";
  echo = program "echo";
  pg-client = program "pg-client";
  sidecar = program "sidecar";
  health = program "health";

  # The pinned parts come before whatever else is on PATH: runs on two machines use the same ones.
  run-lab = wrapped realParts "--set-default LAB_GRAFANA_HOME ${grafanaHome}";
  run-lab-with-stores = wrapped stores "";

  clippy = lint "clippy" [ pkgs.clippy ] "cargo clippy --workspace --all-targets --offline -- -D warnings";
  format = lint "format" [ pkgs.rustfmt ] "cargo fmt --all --check";
}
