package card

import (
	"regexp"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

var (
	ggufFile   = regexp.MustCompile(`(?i)\.gguf|ggml.*\.bin$`)
	partOfFile = regexp.MustCompile(`(?i)\.part[0-9]+of[0-9]+$|-split-[a-z]$|-[0-9]{5}-of-[0-9]{5}\.gguf$`)
	wordOfText = regexp.MustCompile(`[A-Za-z0-9]+`)
)

// methodPhrases makes one word of names that are several.
var methodPhrases = strings.NewReplacer("auto-round", "autoround", "auto_round", "autoround", "auto round", "autoround", "exllama v2", "exl2", "exllama v3", "exl3",
	"compressed-tensors", "compressedtensors", "compressed tensors", "compressedtensors", "llm-compressor", "compressedtensors",
	"bits and bytes", "bitsandbytes")

// methodInText is the quantising method that a text names first; GPTQ wins over
// others, because what writes GPTQ's format is read as GPTQ.
func methodInText(s string) string {
	s = methodPhrases.Replace(strings.ToLower(s))
	found := ""
	for _, w := range wordOfText.FindAllString(s, 64) {
		switch m := quant.MethodOf(w); {
		case m == "gptq":
			return m
		case found == "":
			found = m
		}
	}
	return found
}

// methodOfRow is the method of a row that is not GPTQ, "" where it is.
func (r *reader) methodOfRow(row sheetRow, has map[column]bool) string {
	method := row.Method
	p := quant.ParseBranchName(row.Branch)
	switch {
	case method != "":
	case p.Method != "":
		method = p.Method
	case p.BPW != nil:
		method = "exl2"
		if r.card.Method == "exl3" {
			method = "exl3"
		}
	case row.Bits != nil && *row.Bits >= 16:
		method = "original"
	case has[colGPTQDataset]:
		method = "gptq"
	default:
		method = r.card.Method
	}
	if method == "gptq" {
		return ""
	}
	return method
}

// methodOfCard is what the whole card is about: what the title says, the tags,
// the name of the model.
func (r *reader) methodOfCard() string {
	for _, s := range []string{r.title, r.card.ModelName} {
		if m := methodInText(s); m != "" {
			return m
		}
	}
	for _, t := range r.tags {
		if m := quant.MethodOf(strings.ReplaceAll(t, "-", "")); m != "" && m != "qat" && m != "onnx" {
			return m
		}
	}
	if low := strings.ToLower(r.title); strings.Contains(low, "llama.cpp") || strings.Contains(low, "llamacpp") {
		return "gguf"
	}
	return ""
}

// settleMethod takes the method from the repository's name or the layout, where
// the card did not say it before.
func (r *reader) settleMethod() {
	c := &r.card
	if c.Method == "" && c.Repo != nil {
		c.Method = methodInName(*c.Repo)
	}
	if c.Method != "" {
		return
	}
	switch c.Layout {
	case "gptq8", "gptq10", "gptq-files":
		c.Method = "gptq"
	case "awq6":
		c.Method = "awq"
	case "exl2-vram":
		c.Method = "exl2"
	case "gguf-files":
		c.Method = "gguf"
	}
}

// display is how people write a method.
func display(method string) string {
	switch method {
	case "bitsandbytes", "original", "other", "torchao", "quanto":
		return method
	case "autoround":
		return "AutoRound"
	case "smoothquant":
		return "SmoothQuant"
	case "quip":
		return "QuIP"
	}
	return strings.ToUpper(method)
}
