//! The modules that a script may import: those of k6 that are written down in `js/`, and files beside it.

use std::path::{Path, PathBuf};

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Error, Module, Result};

/// What is run first: the script is one of its imports.
pub(super) const MAIN: (&str, &str) = ("double:main", include_str!("../js/main.js"));
const SCRIPT: &str = "double:script";
const MODULES: [(&str, &str); 8] = [
    ("double:host", include_str!("../js/host.js")),
    ("double:globals", include_str!("../js/globals.js")),
    ("k6", include_str!("../js/k6.js")),
    ("k6/http", include_str!("../js/http.js")),
    ("k6/metrics", include_str!("../js/metrics.js")),
    ("k6/execution", include_str!("../js/execution.js")),
    ("k6/data", include_str!("../js/data.js")),
    ("k6/net/grpc", include_str!("../js/grpc.js")),
];

fn embedded(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Finds what a script names in its imports.
pub(super) struct Names {
    pub(super) script: PathBuf,
}

impl Resolver for Names {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let wrong = |text: String| Error::new_resolving_message(base, name, text);
        if name == SCRIPT {
            return Ok(self.script.to_string_lossy().into_owned());
        }
        if embedded(name).is_some() {
            return Ok(name.to_owned());
        }
        if !name.starts_with(['.', '/']) {
            return Err(wrong(format!("the double of k6 has no module {name}")));
        }
        let folder = Path::new(base).parent().unwrap_or(Path::new("."));
        let path = folder.join(name).canonicalize().map_err(|error| {
            wrong(format!(
                "The moduleSpecifier \"{name}\" couldn't be found on local disk: {error}"
            ))
        })?;
        Ok(path.to_string_lossy().into_owned())
    }
}

/// Reads them.
pub(super) struct Texts;

impl Loader for Texts {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let text = match embedded(name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(name)
                .map_err(|error| Error::new_loading_message(name, error.to_string()))?,
        };
        Module::declare(ctx.clone(), name, text)
    }
}
