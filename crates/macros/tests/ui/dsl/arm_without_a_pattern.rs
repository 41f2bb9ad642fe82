use asupersync::prelude::*;

async fn first(cx: &Cx, rx: &mut mpsc::Receiver<u32>) -> Result<(), Error> {
    select! {
        rx.recv(cx) => {}
    }?;
    Ok(())
}

fn main() {}
