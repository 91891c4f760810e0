package vram_test

import (
	"fmt"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/vram"
)

// Does a branch of 18.85 GB fit a card of 24 GiB, and with how much context?
func ExampleRequest_Estimate() {
	model, err := quant.ParseModel([]byte(`{"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
		"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
		"num_experts_per_tok": 2, "vocab_size": 32002, "max_position_embeddings": 32768}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	free, err := vram.ParseSize("24GiB")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, _ := vram.ProfileFor("exllamav2")
	e := vram.Request{
		Weights: vram.Total(18845966336, vram.FromTreeSizes, model),
		Model:   model,
		Engine:  engine,
		Cards:   []vram.Card{{Name: "the card", Total: free, Free: free}},
	}.Estimate()
	for _, t := range e.Terms {
		fmt.Printf("%-18s %10s  %s\n", t.Name, vram.GiBText(t.Expected), t.Formula)
	}
	fmt.Println(e.Verdict, vram.GiBText(e.Need.Low), "to", vram.GiBText(e.Need.High), "at", e.Context, "tokens; the most is", e.MaxContext)
	// Output:
	// weights             17.55 GiB  the sum of the weight files
	// embeddings in RAM   -0.24 GiB  ExLlamaV2 keeps the embedding in main memory
	// KV cache             0.50 GiB  2 × 1024 elements × 32 layers × 4096 tokens × 2 bytes (fp16)
	// engine overhead      1.20 GiB  CUDA context, runtime, room to unpack a matrix and to compute a chunk of the prompt
	// fits 18.61 GiB to 20.01 GiB at 4096 tokens; the most is 32768
}
