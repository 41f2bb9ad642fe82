use asupersync::prelude::*;

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let words = vec![String::from("hello")];
    cx.region(async |scope: &Scope<Error>| {
        let _ = scope.spawn(async |cx: &Cx| {
            println!("{}", words.len());
            cx.checkpoint()?;
            Ok(())
        });
        Ok(())
    })
    .await
    .into_result()?;
    Ok(())
}
