//! A user's copy of the script: read once, its functions called one after another.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::{
    CaughtError, Context, Ctx, Error, Function, Module, Object, Promise, Runtime, Value,
};

use super::host::{Host, exception};
use super::modules::{MAIN, Names, Texts};
use super::{Course, Exports, Outcome};
use crate::refused::Refused;

/// The script in a world of its own.
pub(super) struct Script {
    host: Rc<RefCell<Host>>,
    context: Context,
}

impl Script {
    /// Has the script read.
    pub(super) fn read(host: Host) -> Result<(Script, Exports), Refused> {
        let path = host.script().to_owned();
        let host = Rc::new(RefCell::new(host));
        let made = (|| {
            let runtime = Runtime::new()?;
            runtime.set_loader(Names { script: path }, Texts);
            let watched = Rc::clone(&host);
            let cut = move || watched.try_borrow().is_ok_and(|host| host.is_cut());
            runtime.set_interrupt_handler(Some(Box::new(cut)));
            Context::full(&runtime)
        })();
        let context = made.map_err(exception)?;
        let exports = context.with(|ctx| {
            let asked = Rc::clone(&host);
            let ask = move |what: String, about: String| asked.borrow_mut().answer(&what, &about);
            let read = || {
                ctx.globals().set("__ask", Function::new(ctx.clone(), ask)?)?;
                // The engine's own dice begin with the time: users that are made together would throw alike.
                let dice = Function::new(ctx.clone(), rand::random::<f64>)?;
                ctx.globals().get::<_, Object<'_>>("Math")?.set("random", dice)?;
                Module::evaluate(ctx.clone(), MAIN.0, MAIN.1)?.finish::<Value<'_>>()?;
                ctx.globals().get::<_, Function<'_>>("__exports")?.call::<_, String>(())
            };
            read().map_err(|error| exception(said(&ctx, error)))
        })?;
        // What it cannot do it has said itself.
        if let Some(stopped) = host.borrow().stopped() {
            return Err(stopped);
        }
        let exports = serde_json::from_str(&exports).map_err(exception)?;
        Ok((Script { host, context }, exports))
    }

    pub(super) fn iterate(&self, course: Arc<Course>, number: u64) -> Outcome {
        let function = course.scenario.exec.clone();
        let (began, data) = self.host.borrow_mut().begin(course, number);
        let outcome = self.call(&function, &data);
        self.host.borrow_mut().end(began);
        outcome
    }

    /// Calls a function of the script outside of any scenario.
    pub(super) fn call_outside(&self, function: &'static str, data: &str) -> Outcome {
        self.host.borrow_mut().outside(function);
        self.call(function, data)
    }

    /// Calls a function of the script with `data`, which is JSON.
    fn call(&self, function: &str, data: &str) -> Outcome {
        let called = self.context.with(|ctx| {
            let call = || {
                let iteration = self.host.borrow().iteration();
                ctx.globals().set("__ITER", iteration)?;
                let call: Function<'_> = ctx.globals().get("__call")?;
                call.call::<_, Promise<'_>>((function, data))?.finish::<String>()
            };
            call().map_err(|error| said(&ctx, error))
        });
        if self.host.borrow().is_cut() {
            return Outcome::Cut;
        }
        called.map_or_else(Outcome::Threw, Outcome::Over)
    }
}

/// An error in words, as JavaScript writes exceptions.
fn said(ctx: &Ctx<'_>, error: Error) -> String {
    if matches!(error, Error::WouldBlock) {
        return "the script waits for something that never comes".to_owned();
    }
    match CaughtError::from_error(ctx, error) {
        CaughtError::Exception(exception) => {
            let name: String = exception.get("name").unwrap_or_else(|_| "Error".to_owned());
            format!("{name}: {}", exception.message().unwrap_or_default())
        }
        CaughtError::Value(value) => {
            value.as_string().and_then(|text| text.to_string().ok()).unwrap_or_default()
        }
        CaughtError::Error(error) => error.to_string(),
    }
}
