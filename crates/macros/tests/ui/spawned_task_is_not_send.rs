use asupersync::prelude::*;

use std::rc::Rc;

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let shared = Rc::new(7);
    cx.region(async |scope: &Scope<Error>| {
        let _ = scope.spawn(async move |cx: &Cx| {
            cx.checkpoint()?;
            println!("{shared}");
            Ok(())
        });
        Ok(())
    })
    .await
    .into_result()?;
    Ok(())
}
