//! AWS Bedrock's Converse API as a Tower service, over the AWS SDK.
