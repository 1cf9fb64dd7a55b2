//! Go's text/template: lexer, parser, evaluator, fmt verbs: pure.
