//! Which functions a template calls, for whoever looks at it without executing it.

use super::ast::{Block, Command, Operand, OperandKind, Pipe, StatementKind};

/// A call of a function as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function's name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// The arguments: the bytes of those that are string literals, `None` for all others. What is piped is not among them.
    pub args: Vec<Option<Vec<u8>>>,
}

/// The calls of a block, each with its position in the source.
pub(crate) fn of_block(block: &Block, found: &mut Vec<(usize, Call)>) {
    for statement in block {
        match &statement.kind {
            StatementKind::Action(pipe) => of_pipe(pipe, found),
            StatementKind::If(branch) | StatementKind::With(branch) | StatementKind::Range(branch) => {
                of_pipe(&branch.pipe, found);
                of_block(&branch.body, found);
                of_block(&branch.otherwise, found);
            }
            StatementKind::Template { pipe: Some(pipe), .. } => of_pipe(pipe, found),
            _ => {}
        }
    }
}

fn of_pipe(pipe: &Pipe, found: &mut Vec<(usize, Call)>) {
    for command in &pipe.commands {
        of_command(command, found);
    }
}

fn of_command(command: &Command, found: &mut Vec<(usize, Call)>) {
    let Some((first, rest)) = command.words.split_first() else { return };
    if let OperandKind::Function(name) = &first.kind {
        found.push((first.position, call(name, rest)));
    } else {
        of_operand(first, found);
    }
    rest.iter().for_each(|word| of_operand(word, found));
}

fn of_operand(operand: &Operand, found: &mut Vec<(usize, Call)>) {
    match &operand.kind {
        OperandKind::Function(name) => found.push((operand.position, call(name, &[]))),
        OperandKind::Pipe(pipe) => of_pipe(pipe, found),
        OperandKind::Chain { of, .. } => of_operand(of, found),
        _ => {}
    }
}

fn call(name: &str, args: &[Operand]) -> Call {
    let literal = |arg: &Operand| match &arg.kind {
        OperandKind::String { bytes, .. } => Some(bytes.clone()),
        _ => None,
    };
    Call { name: name.to_owned(), line: 0, column: 0, args: args.iter().map(literal).collect() }
}
