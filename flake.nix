# hoplab by Nix: the workspace is built once, every program is taken out of that build.
#
# `nix run` is the lab with its real parts; `nix develop` has the Rust tools besides. What the check
# of this file proves and what it does not: docs/nix.md.
{
  description = "Where does a microservice's latency go, and can the answer be believed?";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      perSystem = lib.genAttrs systems (
        system: import ./nix { inherit lib; pkgs = nixpkgs.legacyPackages.${system}; }
      );
      each = part: lib.mapAttrs (_: parts: parts.${part}) perSystem;
    in
    {
      packages = each "packages";
      apps = each "apps";
      devShells = each "devShells";
      checks = each "checks";
      formatter = each "formatter";
    };
}
