"""Commands about FPGA boards, virtual ones too."""
