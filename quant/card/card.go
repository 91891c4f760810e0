package card

// Row is one row of a provided-files table; nil means the card does not say.
// For GroupSize nil means none (the card's "None", -1 in the config).
type Row struct {
	Branch      string   `json:"branch"`
	Bits        *float64 `json:"bits"`
	GroupSize   *int     `json:"group_size"`
	ActOrder    *bool    `json:"act_order"`
	Damp        *float64 `json:"damp"`
	Dataset     *string  `json:"dataset"`
	SeqLen      *int     `json:"seq_len"`
	SizeBytes   *int64   `json:"size_bytes"` // the printed decimal GB or MB, in bytes
	ExLlama     *bool    `json:"exllama"`
	Description *string  `json:"description"`
}

// Finding is a remark about the card.
type Finding struct {
	Code    string `json:"code"`
	Where   string `json:"where"`
	Message string `json:"message"`
}

// Card is what was read.
type Card struct {
	Layout   string    `json:"layout"` // "gptq10", …, "none"
	Repo     *string   `json:"repo"`
	Rows     []Row     `json:"rows"`
	Files    []Row     `json:"files"`
	Findings []Finding `json:"findings"`

	PromptTemplate string `json:"prompt_template,omitempty"` // front matter's, else the card's code block
	BaseModel      string `json:"base_model,omitempty"`
	License        string `json:"license,omitempty"`
	QuantizedBy    string `json:"quantized_by,omitempty"`
}

// Parse never fails: what cannot be read is left out or becomes a finding.
func Parse(md []byte) *Card { return &Card{} }
