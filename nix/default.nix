# Everything of the flake for one system.
{ lib, pkgs }:
let
  programs = import ./programs.nix { inherit lib pkgs; };
  images = import ./images.nix { inherit lib pkgs programs; };
in
{
  packages = {
    default = programs.run-lab;
    inherit (programs)
      run-lab
      gateway
      echo
      pg-client
      sidecar
      ;
  }
  // images;

  apps.default = {
    type = "app";
    program = lib.getExe programs.run-lab;
    meta.description = "Where does a microservice's latency go, and can the answer be believed?";
  };

  devShells = {
    # For who runs the lab: run-lab as it is built here, and the pinned parts.
    default = pkgs.mkShell {
      packages = [ programs.run-lab ] ++ programs.realParts;
      LAB_GRAFANA_HOME = programs.grafanaHome;
    };
    # For who changes it: what builds the workspace and the pinned parts, with nothing of ours built first.
    contributor = pkgs.mkShell {
      inputsFrom = [ programs.workspace ];
      packages = [
        pkgs.cargo
        pkgs.rustc
        pkgs.clippy
        pkgs.rustfmt
        pkgs.rust-analyzer
      ]
      ++ programs.realParts;
      LAB_GRAFANA_HOME = programs.grafanaHome;
    };
  };

  checks = {
    build = programs.workspace;
    inherit (programs) clippy format;
  };

  formatter = pkgs.nixfmt-tree;
}
