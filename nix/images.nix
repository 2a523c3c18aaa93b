# Container images without Docker: all in one, and one for each service.
#
# `nix build .#docker-image && docker load < result`. The same users, ports and health checks as
# docker/Dockerfile.
{
  lib,
  pkgs,
  programs,
}:
let
  # initdb looks its user up, and programs write to /tmp.
  account =
    uid:
    pkgs.runCommand "account-${toString uid}" { } ''
      mkdir -p $out/etc
      echo 'lab:x:${toString uid}:${toString uid}:hoplab:/data:/bin/false' > $out/etc/passwd
      echo 'lab:x:${toString uid}:' > $out/etc/group
    '';

  image =
    {
      name,
      uid,
      command,
      programs,
      environment ? [ ],
      health,
    }:
    pkgs.dockerTools.buildLayeredImage {
      inherit name;
      tag = "latest";
      contents = programs ++ [
        healthProgram
        (account uid)
      ];
      extraCommands = ''
        mkdir -p data tmp
        chmod 1777 data tmp
      '';
      config = {
        Entrypoint = builtins.head command;
        Cmd = builtins.elemAt command 1;
        Env = environment;
        User = "${toString uid}:${toString uid}";
        WorkingDir = "/data";
        # Nanoseconds, as the image format has it.
        Healthcheck = {
          Test = [
            "CMD"
            "${lib.getExe healthProgram}"
            health
          ];
          Interval = 5000000000;
          Timeout = 10000000000;
          StartPeriod = 60000000000;
        };
      };
    };
  healthProgram = programs.health;

  lab =
    name: run-lab: options:
    image {
      inherit name;
      uid = 10000;
      command = [
        [ (lib.getExe run-lab) ]
        (
          [
            "up"
            "--gateway"
            "0.0.0.0:8080"
          ]
          ++ options
        )
      ];
      # /bin/sh: PostgreSQL's initdb starts its server by popen(), which asks for it.
      programs = [
        run-lab
        pkgs.bashInteractive
      ];
      health = "http://127.0.0.1:8080/healthz";
    };

  service =
    name: uid: environment: health:
    image {
      name = "hoplab-${name}";
      inherit uid environment health;
      command = [
        [ (lib.getExe programs.${name}) ]
        [ ]
      ];
      programs = [ programs.${name} ];
    };
in
{
  # Without k6 and Grafana, which are under the AGPL: this one may be handed on.
  docker-image = lab "hoplab" programs.run-lab-with-stores [ ];
  # With both, for who builds it.
  docker-image-with-k6-and-grafana = lab "hoplab-with-k6-and-grafana" programs.run-lab [
    "--grafana"
    "0.0.0.0:3000"
  ];

  gateway-image = service "gateway" 10001 [ "GATEWAY_LISTEN=0.0.0.0:8080" ] "http://127.0.0.1:8080/healthz";
  echo-image = service "echo" 10002 [ "ECHO_LISTEN=0.0.0.0:8081" ] "http://127.0.0.1:8081/healthz";
  pg-client-image = service "pg-client" 10003 [
    "PG_CLIENT_LISTEN=0.0.0.0:8082"
  ] "http://127.0.0.1:8082/healthz";
  # Its control endpoint asks for no credentials: it stays on loopback.
  sidecar-image = service "sidecar" 10004 [
    "LAB_SIDECAR_OTLP=0.0.0.0:4317"
  ] "http://127.0.0.1:4319/healthz";
}
