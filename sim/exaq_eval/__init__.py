"""What a softmax of few bits costs on real models; needs the extra ``torch``."""
