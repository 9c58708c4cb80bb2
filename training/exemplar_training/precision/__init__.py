"""The smaller precisions of an exported model: fp16 and int8, each proved against fp32."""
