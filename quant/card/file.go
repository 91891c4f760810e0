package card

import "encoding/json"

// File is a row of a card that lists files and not branches. In JSON it has the
// keys that such lists fill, and of the others those that are said.
type File Row

// MarshalJSON writes a file of GPTQ with its branch and parameters, one of GGUF,
// which has no branch, with its quant and size.
func (f File) MarshalJSON() ([]byte, error) {
	if f.Branch == "" {
		return json.Marshal(struct {
			File        string   `json:"file"`
			Quant       string   `json:"quant"`
			Bits        *float64 `json:"bits,omitempty"`
			SizeBytes   *int64   `json:"size_bytes"`
			Split       *bool    `json:"split,omitempty"`
			LinksToRepo string   `json:"links_to_repo,omitempty"`
		}{f.File, f.Quant, f.Bits, f.SizeBytes, f.Split, f.LinksToRepo})
	}
	return json.Marshal(struct {
		File        string   `json:"file"`
		Branch      string   `json:"branch"`
		Bits        *float64 `json:"bits"`
		GroupSize   *int     `json:"group_size"`
		ActOrder    *bool    `json:"act_order"`
		Damp        *float64 `json:"damp,omitempty"`
		Dataset     *string  `json:"dataset"`
		DatasetURL  string   `json:"dataset_url,omitempty"`
		SeqLen      *int     `json:"seq_len,omitempty"`
		SizeBytes   *int64   `json:"size_bytes,omitempty"`
		ExLlama     *bool    `json:"exllama,omitempty"`
		MadeWith    string   `json:"made_with,omitempty"`
		Description *string  `json:"description,omitempty"`
		LinksToRepo string   `json:"links_to_repo,omitempty"`
	}{f.File, f.Branch, f.Bits, f.GroupSize, f.ActOrder, f.Damp, f.Dataset, f.DatasetURL, f.SeqLen, f.SizeBytes, f.ExLlama, f.MadeWith, f.Description, f.LinksToRepo})
}

// Listed are the rows that name branches, else those that name files.
func (c *Card) Listed() []Row {
	if len(c.Rows) > 0 {
		return c.Rows
	}
	var rows []Row
	for _, f := range c.Files {
		rows = append(rows, Row(f))
	}
	return rows
}
