"""One loader a layout: BEIR, TREC, tables with named columns, ir_datasets, the Hugging Face hub."""
