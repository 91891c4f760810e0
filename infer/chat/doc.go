// Package chat turns messages into the text that a model was trained to continue,
// by the chat template of its repository.
//
// The template is looked for where transformers does: chat_template.jinja, then
// chat_template in tokenizer_config.json (a string, or a list of named ones of
// which "default" is taken, else the first); then the prompt template that the
// model card shows. A repository without any gets ChatML if its tokenizer has
// <|im_start|> and <|im_end|>, else the plain texts with a blank line between.
//
// A prompt comes in segments: what users and systems wrote is literal, so that
// the name of a control token inside it is encoded as the characters it is made
// of. The template's own text, and the special tokens it is given, are not. Some
// templates write the token that begins a text and some leave it to the
// tokenizer; whoever encodes a prompt adds it where it is not there yet.
//
// Guaranteed: a template ends within limits (see package jinja) or is an error
// that says how to go on without it. Not guaranteed: tools, documents and other
// inputs than roles and contents; they are none.
package chat
