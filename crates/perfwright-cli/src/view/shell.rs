//! `completions` and `man`: made from the same definition as `--help`.

use anyhow::Result;
use clap_complete::Shell;

use crate::Context;
use crate::terminal::Terminal;

pub(super) fn completions(shell: Shell, context: &Context, terminal: &mut Terminal) {
    let mut definition = context.definition.clone();
    let name = definition.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition, name, &mut script);
    terminal.bytes(&script);
}

/// One page: the program, then each command.
pub(super) fn man(context: &Context, terminal: &mut Terminal) -> Result<()> {
    let mut definition = context.definition.clone().disable_help_subcommand(true);
    definition.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(definition.clone()).render(&mut page)?;
    for command in definition
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        // What every command has is told once, at the top.
        let common = |arg: &clap::Arg| arg.is_global_set() || arg.get_id() == "help";
        let own = command.clone().mut_args(|arg| match common(&arg) {
            true => arg.hide(true),
            false => arg,
        });
        let man = clap_mangen::Man::new(own);
        page.extend(format!(".SH \"{}\"\n", command.get_name().to_uppercase()).bytes());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        man.render_extra_section(&mut page)?;
    }
    terminal.bytes(&page);
    Ok(())
}
